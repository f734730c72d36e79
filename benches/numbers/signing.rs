//! Signing: zones from scratch and after a failover.
//!
//! In: zones made here. Out: tables on standard output. Never here: sockets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use repoint::clock::Wall;
use repoint::config::{self, Configuration};
use repoint::decide::{Decision, Generation, Reason, SrvRecord};
use repoint::topology::{DomainName, Family, PoolName, ServiceKind};
use repoint::zone::{
    Challenges, Inputs, KeyAlgorithm, Name, Serial, SigningKey, ZoneKeys, Zones, compile,
};

/// Prints them all.
pub(crate) fn run() {
    println!("\nsigning, one core\n");
    println!(
        "| zone | algorithm | RRsets | signatures | from scratch | RRsets/s | failover, median | max | its delta |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    let large: String = (0..25_000)
        .map(|n| {
            let (a, b) = (n / 250 % 250, n % 250);
            format!(
                "n{n} A 10.1.{a}.{b}\nn{n} AAAA 2001:db8::{a}:{b}\nn{n} MX 10 mail.n{n}.example.net.\nn{n} TXT \"{n}\"\n"
            )
        })
        .collect();
    let flat: String = (0..100_000)
        .map(|n| format!("n{n} A 10.{}.{}.{}\n", n / 62_500, n / 250 % 250, n % 250))
        .collect();
    for algorithm in [KeyAlgorithm::EcdsaP256Sha256, KeyAlgorithm::Ed25519] {
        zone("steered names only", "", algorithm);
        zone("25,000 names with four types", &large, algorithm);
        zone("100,000 names with one type", &flat, algorithm);
    }
    owners();
}

fn zone(what: &str, records: &str, algorithm: KeyAlgorithm) {
    let file = format!(
        "$TTL 3600\n@ SOA ns1.example.net. hostmaster.example.net. 1 60 30 7d 30\n@ NS ns1.example.net.\n{records}"
    );
    let configuration = configuration(&["contoso.example".to_owned()], false, &file);
    let mut served = Served::new(configuration, Some(algorithm));
    let before = cpu_seconds();
    let scratch = served.publish(1);
    let cpu = cpu_seconds() - before;
    let version = served.zones.iter().next().expect("one zone").clone();
    let mut flips: Vec<Duration> = (0..200).map(|n| served.publish(2 - n % 2)).collect();
    flips.sort();
    let delta = served
        .zones
        .iter()
        .next()
        .and_then(|zone| Some(zone.history().last()?.octets));
    let sets = version.rrset_count();
    // The kernel counts in hundredths of a second: too coarse for a small zone.
    let (cpu, rate) = match cpu > 0.1 {
        true => (format!("{cpu:.2} s"), format!("{:.0}", sets as f64 / cpu)),
        false => ("–".to_owned(), "–".to_owned()),
    };
    println!(
        "| {what} | {algorithm} | {sets} | {scratch:.1?} | {cpu} | {rate} | {:.2?} | {:.2?} | {} octets |",
        flips[flips.len() / 2],
        flips[flips.len() - 1],
        delta.unwrap_or(0),
    );
}

/// User and system time of all threads so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("a name")
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

/// Thousands of tiny zones that one decision moves.
fn owners() {
    println!("\n2,000 domains of one route, each name a zone of its own\n");
    println!("| algorithm | zones | from scratch | failover, median | its CPU, mean |");
    println!("|---|---:|---:|---:|---:|");
    let domains: Vec<String> = (0..2000).map(|n| format!("d{n}.example")).collect();
    for algorithm in [
        None,
        Some(KeyAlgorithm::EcdsaP256Sha256),
        Some(KeyAlgorithm::Ed25519),
    ] {
        let mut served = Served::new(configuration(&domains, true, ""), algorithm);
        let scratch = served.publish(1);
        let before = cpu_seconds();
        let mut flips: Vec<Duration> = (0..21).map(|n| served.publish(2 - n % 2)).collect();
        let cpu = (cpu_seconds() - before) / 21.0 * 1000.0;
        flips.sort();
        let name = algorithm.map_or("unsigned", KeyAlgorithm::as_str);
        println!(
            "| {name} | {} | {scratch:.1?} | {:.1?} | {cpu:.1} ms |",
            served.zones.len(),
            flips[10]
        );
    }
}

struct Served {
    configuration: Configuration,
    keys: BTreeMap<Name, Arc<ZoneKeys>>,
    zones: Zones,
    serial: u32,
    now: Wall,
}

impl Served {
    fn new(configuration: Configuration, algorithm: Option<KeyAlgorithm>) -> Served {
        let keys = algorithm.map(|algorithm| {
            let key = Arc::new(SigningKey::generate(algorithm).expect("a key"));
            let apexes = configuration.layout.apexes();
            let keys =
                apexes.map(|apex| (apex.clone(), Arc::new(ZoneKeys::single(key.clone(), 3600))));
            keys.collect()
        });
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time after 1970");
        Served {
            configuration,
            keys: keys.unwrap_or_default(),
            zones: Zones::empty(),
            serial: 0,
            now: Wall::from_millis(since.as_millis() as i64),
        }
    }

    fn publish(&mut self, active: u8) -> Duration {
        self.serial += 1;
        let decisions = [("contoso".parse().expect("a name"), decision(active))].into();
        let began = Instant::now();
        let zones = compile(&Inputs {
            layout: &self.configuration.layout,
            decisions: &decisions,
            keys: &self.keys,
            unsignable: &std::sync::Arc::default(),
            challenges: &Challenges::default(),
            previous: Some(&self.zones),
            generation: Generation(u64::from(self.serial)),
            serial: Serial(self.serial),
            now: self.now,
            beside: None,
        });
        let took = began.elapsed();
        self.zones = zones;
        took
    }
}

fn configuration(domains: &[String], owners: bool, file: &str) -> Configuration {
    let mut text =
        "version = 1\n[dns]\nnameservers = [{ name = \"ns1.example.net\" }]\n".to_owned();
    for (pool, address) in [(1, "192.0.2.10"), (2, "198.51.100.10")] {
        let _ = write!(
            text,
            "[[pool]]\nname = \"pool{pool}\"\n[[pool.target]]\nname = \"edge{pool}.contoso.com\"\n\
             publish = [\"{address}\", \"2001:db8::{pool}\"]\n"
        );
    }
    let zones = if owners { "zones = \"owners\"\n" } else { "" };
    let _ = write!(
        text,
        "[[route]]\nname = \"contoso\"\ndomains = {domains:?}\npools = [\"pool1\", \"pool2\"]\n{zones}\
         [route.address]\nname = \"xmpp.{{domain}}\"\n[[route.service]]\nkind = \"xmpp-server\"\n\
         [[route.service]]\nkind = \"xmpps-server\"\n"
    );
    if !owners {
        let _ = write!(
            text,
            "[[zone]]\napex = \"contoso.example\"\nfile = \"zone\"\n"
        );
    }
    let mut read = |_: &Path| Ok(file.to_owned());
    config::parse(&text, "bench.toml", &mut read).unwrap_or_else(|problems| panic!("{problems}"))
}

fn decision(first: u8) -> Decision {
    let host =
        |pool: u8| -> DomainName { format!("edge{pool}.contoso.com").parse().expect("a name") };
    let order = [first, 3 - first];
    let records = |port| {
        let ranked = order.iter().zip([10, 20]);
        let records = ranked.map(|(pool, priority)| SrvRecord {
            priority,
            weight: 0,
            port,
            target: host(*pool),
        });
        records.collect()
    };
    let address = if first == 1 {
        "192.0.2.10"
    } else {
        "198.51.100.10"
    };
    let order: Vec<PoolName> = order
        .iter()
        .map(|pool| format!("pool{pool}").parse().expect("a name"))
        .collect();
    Decision {
        route: "contoso".parse().expect("a name"),
        generation: Generation(1),
        at: Wall::default(),
        active: order[0].clone(),
        services: [
            (ServiceKind::XmppServer, records(5269)),
            (ServiceKind::XmppsServer, records(5270)),
        ]
        .into(),
        addresses: [
            (Family::Ipv4, vec![address.parse().expect("an address")]),
            (
                Family::Ipv6,
                vec![format!("2001:db8::{first}").parse().expect("an address")],
            ),
        ]
        .into(),
        order,
        ttl: 30,
        reason: Reason::FirstStart,
    }
}
