//! The sections of a version 1 file and their keys. A key that is not here is not read.

use super::super::table::{Key, Section, live, restart};

/// The top of the file.
pub(in crate::config) const TOP: Section = Section {
    header: "the top of the file",
    path: "",
    keys: &[
        live("version"),
        live("server"),
        live("log"),
        live("alarm"),
        live("dns"),
        live("health"),
        live("pool"),
        live("route"),
        live("zone"),
        live("tsig"),
        live("secondary"),
        live("acme"),
    ],
};
pub(super) const SERVER: Section = Section {
    header: "[server]",
    path: "server",
    keys: &[
        restart("listen"),
        restart("listen_tls"),
        restart("listen_https"),
        restart("listen_quic"),
        live("certificate"),
        live("certificate_key"),
        restart("state"),
        restart("control"),
        restart("control_mode"),
        restart("control_group"),
        restart("user"),
        restart("workers"),
    ],
};
pub(super) const LOG: Section = Section {
    header: "[log]",
    path: "log",
    keys: &[restart("format"), restart("level")],
};
pub(super) const ALARM: Section = Section {
    header: "[alarm]",
    path: "alarm",
    keys: &[live("exec"), live("timeout")],
};
pub(super) const DNS: Section = Section {
    header: "[dns]",
    path: "dns",
    keys: &[
        live("nameservers"),
        live("hostmaster"),
        live("ttl"),
        live("negative_ttl"),
        live("dnssec"),
        live("dnssec_algorithm"),
        live("propagation"),
        live("resolvers"),
        live("nsid"),
        live("version"),
        live("cookies"),
        live("cookie_secret"),
        live("rate_limit"),
        live("rate_limit_slip"),
        live("rate_limit_exempt"),
    ],
};
pub(super) const NAMESERVER: Section = Section {
    header: "an entry of nameservers",
    path: "dns.nameservers",
    keys: &[live("name"), live("addresses")],
};
pub(super) const HEALTH: Section = Section {
    header: "[health]",
    path: "health",
    keys: &[live("canaries"), live("check")],
};
const CHECK_KEYS: &[Key] = &[
    live("depth"),
    live("interval"),
    live("retry"),
    live("timeout"),
    live("fall"),
    live("min_fault"),
    live("rise"),
    live("steady"),
    live("certificate"),
    live("ca"),
    live("from"),
    live("accept"),
];
pub(super) const HEALTH_CHECK: Section = Section {
    header: "[health.check]",
    path: "health.check",
    keys: CHECK_KEYS,
};
pub(super) const ROUTE_CHECK: Section = Section {
    header: "[route.check]",
    path: "route.check",
    keys: CHECK_KEYS,
};
pub(super) const SERVICE_CHECK: Section = Section {
    header: "check of a [[route.service]]",
    path: "route.service.check",
    keys: CHECK_KEYS,
};
pub(super) const POOL: Section = Section {
    header: "[[pool]]",
    path: "pool",
    keys: &[live("name"), live("site"), live("standby"), live("target")],
};
pub(super) const TARGET: Section = Section {
    header: "[[pool.target]]",
    path: "pool.target",
    keys: &[live("name"), live("publish"), live("probe"), live("source")],
};
pub(super) const ROUTE: Section = Section {
    header: "[[route]]",
    path: "route",
    keys: &[
        live("name"),
        live("domains"),
        live("domains_file"),
        live("check_domains"),
        live("pools"),
        live("zones"),
        live("failover"),
        live("failback"),
        live("hold_down"),
        live("ttl"),
        live("exclusive"),
        live("max_switches"),
        live("need"),
        live("require_families"),
        live("address"),
        live("service"),
        live("check"),
    ],
};
pub(super) const ROUTE_POOL: Section = Section {
    header: "an entry of pools",
    path: "route.pools",
    keys: &[live("pool"), live("priority")],
};
pub(super) const ADDRESS: Section = Section {
    header: "[route.address]",
    path: "route.address",
    keys: &[live("name")],
};
pub(super) const SERVICE: Section = Section {
    header: "[[route.service]]",
    path: "route.service",
    keys: &[
        live("kind"),
        live("mode"),
        live("required"),
        live("owner"),
        live("port"),
        live("allow_nonstandard_port"),
        live("targets"),
        live("check"),
    ],
};
pub(super) const ZONE: Section = Section {
    header: "[[zone]]",
    path: "zone",
    keys: &[
        live("apex"),
        live("file"),
        live("primary"),
        live("tsig"),
        live("source"),
        live("dnssec"),
    ],
};

pub(super) const TSIG: Section = Section {
    header: "[[tsig]]",
    path: "tsig",
    keys: &[
        live("name"),
        live("algorithm"),
        live("secret_file"),
        live("secret"),
    ],
};
pub(super) const SECONDARY: Section = Section {
    header: "[[secondary]]",
    path: "secondary",
    keys: &[
        live("name"),
        live("address"),
        live("allow"),
        live("tsig"),
        live("zones"),
        live("source"),
    ],
};

pub(super) const ACME: Section = Section {
    header: "[acme]",
    path: "acme",
    keys: &[live("tsig"), live("lifetime")],
};

pub(super) const ACME_KEY: Section = Section {
    header: "an entry of tsig",
    path: "acme.tsig",
    keys: &[live("key"), live("zones"), live("names")],
};

/// Every section, in the order of the annotated example.
pub(in crate::config) const ALL: &[&Section] = &[
    &TOP,
    &SERVER,
    &LOG,
    &ALARM,
    &DNS,
    &NAMESERVER,
    &HEALTH,
    &HEALTH_CHECK,
    &POOL,
    &TARGET,
    &ROUTE,
    &ROUTE_POOL,
    &ADDRESS,
    &SERVICE,
    &SERVICE_CHECK,
    &ROUTE_CHECK,
    &ZONE,
    &TSIG,
    &SECONDARY,
    &ACME,
    &ACME_KEY,
];
