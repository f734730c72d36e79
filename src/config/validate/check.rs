//! Settings of a check: the layers laid over each other, and the relations that hold for the result.

use crate::topology::{CertificatePolicy, CheckSettings, Depth, DomainName, ServiceKind};

use std::time::Duration;

use super::super::draft::CheckDraft;
use super::super::problem::{At, ConfigProblems, Place, Rule};

/// Slower detection than this is hardly meant: the longest back-off of common partners is as long.
const SLOW: Duration = Duration::from_secs(300);

/// What is looked at: a service of a route, for messages.
pub(super) struct Subject<'a> {
    pub(super) kind: ServiceKind,
    pub(super) route: &'a str,
    /// Where the service was configured.
    pub(super) place: &'a Place,
    pub(super) domains: &'a [At<DomainName>],
}

/// Lays `layers` over the defaults of the service, the last one on top, and checks the result.
pub(super) fn settings(
    subject: &Subject<'_>,
    layers: [&CheckDraft; 3],
    problems: &mut ConfigProblems,
) -> CheckSettings {
    let defaults = CheckSettings::default_for(subject.kind);
    let top = overlay(layers);
    let value = |given: &Option<At<Duration>>, default| given.as_ref().map_or(default, |v| v.value);
    let count = |given: &Option<At<u32>>, default| given.as_ref().map_or(default, |v| v.value);
    let settings = CheckSettings {
        depth: top
            .depth
            .as_ref()
            .map_or(defaults.depth, |v| v.value.of(subject.kind)),
        interval: value(&top.interval, defaults.interval),
        retry: value(&top.retry, defaults.retry),
        timeout: value(&top.timeout, defaults.timeout),
        fall: count(&top.fall, defaults.fall),
        min_fault: value(&top.min_fault, defaults.min_fault),
        rise: count(&top.rise, defaults.rise),
        steady: count(&top.steady, defaults.steady),
        certificate: top
            .certificate
            .as_ref()
            .map_or(defaults.certificate, |v| v.value),
        ca: top.ca.as_ref().map(|v| v.value.clone()),
        from: top.from.as_ref().map(|v| v.value.clone()),
        accept: top
            .accept
            .as_ref()
            .map_or(defaults.accept, |v| v.value.clone()),
    };
    relations(subject, &top, &settings, problems);
    settings
}

fn overlay(layers: [&CheckDraft; 3]) -> CheckDraft {
    let mut top = CheckDraft::default();
    for layer in layers {
        let CheckDraft {
            depth,
            interval,
            retry,
            timeout,
            fall,
            min_fault,
            rise,
            steady,
            certificate,
            ca,
            from,
            accept,
        } = layer.clone();
        top = CheckDraft {
            depth: depth.or(top.depth),
            interval: interval.or(top.interval),
            retry: retry.or(top.retry),
            timeout: timeout.or(top.timeout),
            fall: fall.or(top.fall),
            min_fault: min_fault.or(top.min_fault),
            rise: rise.or(top.rise),
            steady: steady.or(top.steady),
            certificate: certificate.or(top.certificate),
            ca: ca.or(top.ca),
            from: from.or(top.from),
            accept: accept.or(top.accept),
        };
    }
    top
}

fn relations(
    subject: &Subject<'_>,
    top: &CheckDraft,
    settings: &CheckSettings,
    problems: &mut ConfigProblems,
) {
    let text = |d: Duration| humantime::format_duration(d).to_string();
    let (interval, timeout) = (text(settings.interval), text(settings.timeout));
    if settings.timeout > settings.interval {
        let (place, other) = pair(&top.timeout, &top.interval, subject.place);
        let problem = problems.error(
            Rule::TimeoutInterval,
            place,
            format!("timeout {timeout} is longer than interval {interval}: probes would overtake each other"),
        );
        other.map(|other| problem.also(other, "the interval"));
        problem.help("shorten timeout, or lengthen interval; timeout bounds a whole probe");
    }
    if settings.retry > settings.interval {
        let retry = text(settings.retry);
        let (place, other) = pair(&top.retry, &top.interval, subject.place);
        let problem = problems.error(
            Rule::RetryInterval,
            place,
            format!(
                "retry {retry} is longer than interval {interval}: a suspect check would be probed less often than a good one"
            ),
        );
        other.map(|other| problem.also(other, "the interval"));
        problem.help("shorten retry, or lengthen interval");
    }
    if settings.rise < settings.steady {
        let (rise, steady) = (settings.rise, settings.steady);
        let (place, other) = pair(&top.rise, &top.steady, subject.place);
        let problem = problems.error(
            Rule::RiseSteady,
            place,
            format!(
                "rise {rise} is smaller than steady {steady}: a check that comes up would still count its old failures"
            ),
        );
        other.map(|other| problem.also(other, "steady"));
        problem.help(format!("write rise = {steady} or more, or lower steady"));
    }
    rates(subject, top, settings, problems);
    let detection = settings.detection();
    if detection > SLOW {
        let place = top.interval.as_ref().map_or(subject.place, |v| &v.place);
        problems
            .warning(
                Rule::SlowDetection,
                place,
                format!(
                    "a pool of route {} that falls silent would be left only after {} ({})",
                    subject.route,
                    text(detection),
                    subject.kind
                ),
            )
            .help("shorten interval, timeout or min_fault, or lower fall");
    }
    without_effect(top, settings, problems);
    if let Some(from) = &top.from
        && let Some(hosted) = subject
            .domains
            .iter()
            .find(|domain| domain.value == from.value)
    {
        problems
            .error(
                Rule::FromHosted,
                &from.place,
                format!("from {} is a domain of route {}: a server refuses a partner that claims its own domain", from.value, subject.route),
            )
            .also(&hosted.place, "the route's domain")
            .help("write a domain of yours that these servers do not host, like \"probe.example.net\"");
    }
}

/// The pace: fast enough for what it costs the probed.
fn rates(
    subject: &Subject<'_>,
    top: &CheckDraft,
    settings: &CheckSettings,
    problems: &mut ConfigProblems,
) {
    let interval = humantime::format_duration(settings.interval);
    let place = top.interval.as_ref().map_or(subject.place, |v| &v.place);
    if subject.kind == ServiceKind::SipFederationTls && settings.interval < Duration::from_secs(30)
    {
        problems
            .warning(
                Rule::ProbeRate,
                place,
                format!(
                    "sipfederationtls of route {} is probed every {interval}: a Lync Edge throttles such a prober and writes an event for each failed handshake",
                    subject.route
                ),
            )
            .help("give that service its own pace: check = { interval = \"60s\" }");
    } else if settings.interval < Duration::from_secs(1) {
        problems
            .warning(
                Rule::ProbeRate,
                place,
                format!("{} of route {} is probed every {interval}: that suits a test bench, not a partner", subject.kind, subject.route),
            )
            .help("10 s is polite; what partners feel is mostly the TTL and their own back-off");
    }
}

fn without_effect(top: &CheckDraft, settings: &CheckSettings, problems: &mut ConfigProblems) {
    let Some(ca) = &top.ca else { return };
    let why = if settings.depth < Depth::Tls {
        "the probe does not go as deep as the certificate"
    } else if settings.certificate == CertificatePolicy::Ignore {
        "certificate = \"ignore\" looks at no certificate"
    } else {
        return;
    };
    problems
        .warning(
            Rule::NoEffect,
            &ca.place,
            format!("ca has no effect here: {why}"),
        )
        .help("leave ca out, or write depth = \"tls\" and certificate = \"require\"");
}

/// Where to point: at the value given, else at the one it is compared with, else at the service.
fn pair<'a, A, B>(
    first: &'a Option<At<A>>,
    second: &'a Option<At<B>>,
    fallback: &'a Place,
) -> (&'a Place, Option<&'a Place>) {
    match (first, second) {
        (Some(first), Some(second)) => (&first.place, Some(&second.place)),
        (Some(first), None) => (&first.place, None),
        (None, Some(second)) => (&second.place, None),
        (None, None) => (fallback, None),
    }
}
