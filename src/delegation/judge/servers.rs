//! The zone's own nameservers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_proto::op::ResponseCode;

use super::super::facts::{ServerFacts, ZoneFacts, code};
use super::super::finding::Code;
use super::super::served::{Served, ServedZone};
use super::{Findings, list, some};
use crate::zone::Serial;

/// Resolvers that are asked once too early remember it for so long.
const LONGEST_NEGATIVE_TTL: u32 = 300;

pub(super) fn judge(zone: &ZoneFacts, served: &ServedZone, all: &Served, out: &mut Findings) {
    for server in &zone.servers {
        lame(zone, server, out);
        manners(zone, server, out);
    }
    serials(zone, served, all.live, out);
    left_out(zone, out);
    // Where all stand is not known while some were not looked at.
    if zone.left_out.is_empty() {
        places(zone, all, out);
    }
    if served.negative_ttl > LONGEST_NEGATIVE_TTL {
        out.warning(
            Code::NegativeTtl,
            &zone.apex,
            format!("what is not there is remembered for {} s", served.negative_ttl),
            "lower [dns] negative_ttl (the SOA's last number, where the zone has a file) to 60 s or less",
        );
    }
}

fn place(server: &ServerFacts) -> String {
    match server.address {
        Some(address) => format!("{} ({address})", server.server),
        None => server.server.to_string(),
    }
}

fn named_by(server: &ServerFacts) -> &'static str {
    match (server.by_parent, server.by_zone) {
        (true, true) => "named above and in the zone",
        (true, false) => "named above",
        (false, true) => "named in the zone",
        (false, false) => "configured",
    }
}

/// A nameserver that is named and does not answer for the zone.
fn lame(zone: &ZoneFacts, server: &ServerFacts, out: &mut Findings) {
    let answer = match &server.udp {
        Ok(answer) => answer,
        // From a machine without IPv6, say, nothing is known of an IPv6 address.
        Err(why) if why.contains("Network is unreachable") => {
            out.info(
                Code::NameserverUnreachable,
                &zone.apex,
                format!("{}: {why}", place(server)),
                "this machine has no way there: check again from one that has",
            );
            return;
        }
        Err(why) => {
            out.error(
                Code::LameNameserver,
                &zone.apex,
                format!("{}, {}: {why}", place(server), named_by(server)),
                "start it, open UDP port 53 to it, or take it out of the NS records above and in the zone",
            );
            return;
        }
    };
    let fault = match (answer.rcode, answer.authoritative, answer.serial) {
        (ResponseCode::NoError, true, Some(_)) => return,
        (ResponseCode::NoError, false, _) => "it answers without authority".to_owned(),
        (ResponseCode::NoError, true, None) => "it has no SOA of the zone".to_owned(),
        (rcode, ..) => format!("it answers {}", code(rcode)),
    };
    out.error(
        Code::LameNameserver,
        &zone.apex,
        format!("{}, {}: {fault}", place(server), named_by(server)),
        "configure the zone there (as a secondary of repoint), or take the server out of the NS records above and in the zone",
    );
}

/// What nobody knows of, because there was too much of it.
fn left_out(zone: &ZoneFacts, out: &mut Findings) {
    let left_out = &zone.left_out;
    let mut add = |seen, remedy| out.warning(Code::NameserversLeftOut, &zone.apex, seen, remedy);
    if !left_out.names.is_empty() {
        add(
            format!(
                "too many nameservers are named; not looked at: {}",
                some(&left_out.names)
            ),
            "take those that are not meant to serve the zone out of the NS records above and in the zone, and check again",
        );
    }
    for (server, unasked) in &left_out.addresses {
        add(
            format!("{server} has too many addresses: {unasked} of them were not asked"),
            "take out the addresses that nobody needs: resolvers try only a few of them",
        );
    }
    if !left_out.late.is_empty() {
        add(
            format!(
                "not done with in the time for one zone: {}",
                some(&left_out.late)
            ),
            "check again; if it stays, the [dns] resolvers, or the servers named here, are slow or silent",
        );
    }
}

fn manners(zone: &ZoneFacts, server: &ServerFacts, out: &mut Findings) {
    let Ok(answer) = &server.udp else { return };
    if let Some(Err(why)) = &server.tcp {
        out.error(
            Code::TcpSilent,
            &zone.apex,
            format!("{} answers over UDP and not over TCP: {why}", place(server)),
            "open TCP port 53 to it: what does not fit a datagram is asked for over TCP (RFC 7766 §5)",
        );
    }
    if answer.recursion {
        out.warning(
            Code::RecursionOffered,
            &zone.apex,
            format!("{} offers recursion", place(server)),
            "switch recursion off there: an open resolver is abused, and answers from memory where it should know",
        );
    }
    for name in &answer.missing {
        out.error(
            Code::NxdomainAtEmptyName,
            name,
            format!("NXDOMAIN at {}, though names lie below it", place(server)),
            "the server is at fault (RFC 8020 §2): update it; resolvers that minimise questions lose everything below it",
        );
    }
}

fn serials(zone: &ZoneFacts, served: &ServedZone, live: bool, out: &mut Findings) {
    let mut by_serial: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for server in &zone.servers {
        let serial = server.udp.as_ref().ok().and_then(|answer| answer.serial);
        if let Some(serial) = serial {
            by_serial.entry(serial).or_default().push(place(server));
        }
    }
    let remedy = "look at `repoint zone list` and at the log of the server that is behind: NOTIFY, transfers and TSIG keys \
                  are what fails";
    if by_serial.len() > 1 {
        let each = by_serial
            .iter()
            .map(|(serial, places)| format!("{serial} at {}", list(places)));
        out.warning(Code::SerialDiffers, &zone.apex, list(each), remedy);
        return;
    }
    // Ahead of what was served a moment ago is a change meanwhile; behind is not.
    if let (Some((serial, places)), true) = (by_serial.into_iter().next(), live)
        && Serial(served.serial).is_after(Serial(serial))
    {
        let seen = format!("{} here, {serial} at {}", served.serial, list(places));
        out.warning(Code::SerialDiffers, &zone.apex, seen, remedy);
    }
}

/// Where the nameservers stand, as far as addresses tell.
fn places(zone: &ZoneFacts, all: &Served, out: &mut Findings) {
    let addresses: BTreeSet<IpAddr> = zone
        .servers
        .iter()
        .filter_map(|server| Some(server.address?.ip()))
        .collect();
    let v4: BTreeSet<_> = addresses
        .iter()
        .filter(|a| a.is_ipv4())
        .map(prefix)
        .collect();
    let v6: BTreeSet<_> = addresses
        .iter()
        .filter(|a| a.is_ipv6())
        .map(prefix)
        .collect();
    if !addresses.is_empty() && v4.len() <= 1 && v6.len() <= 1 {
        let remedy =
            "add a nameserver elsewhere (RFC 2182 §3.1): a secondary at another provider is enough";
        let seen = match addresses.len() {
            1 => format!("one nameserver alone, at {}", list(&addresses)),
            _ => format!("all nameservers in one network: {}", list(&addresses)),
        };
        out.warning(Code::OnePlace, &zone.apex, seen, remedy);
    }
    let pools: BTreeSet<_> = all
        .targets
        .iter()
        .flat_map(|target| target.addresses.iter().map(prefix))
        .collect();
    if !addresses.is_empty()
        && addresses
            .iter()
            .all(|address| pools.contains(&prefix(address)))
    {
        out.warning(
            Code::AtThePools,
            &zone.apex,
            format!("every nameserver stands in the network of a pool: {}", list(&addresses)),
            "add a nameserver at a site without a pool: one that fails with the pool cannot say that it failed",
        );
    }
}

/// The network that fails as one: /24, and /48 for IPv6.
fn prefix(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets()[..3].to_vec(),
        IpAddr::V6(v6) => v6.octets()[..6].to_vec(),
    }
}
