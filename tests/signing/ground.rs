//! Zones to sign: a configuration with one steered route in `contoso.example`, decisions that move it, keys, and a
//! publication after the other.
//!
//! Never here: what must be true of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use repoint::clock::Wall;
use repoint::config::{self, Configuration};
use repoint::decide::{Decision, Generation, Reason, SrvRecord};
use repoint::topology::{DomainName, Family, PoolName, ServiceKind};
use repoint::zone::{
    Beside, Challenges, Draft, Inputs, KeyAlgorithm, Name, Outline, Serial, SigningKey, ZoneKeys,
    ZoneVersion, Zones, compile,
};

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// SOA and NS of the zone; what a test adds follows.
pub(crate) const HEAD: &str = "$TTL 3600\n\
    @ SOA ns1.example.net. hostmaster.example.net. 1 60 30 7d 30\n\
    @ NS ns1.example.net.\n@ NS ns2.Example.net.\n";

pub(crate) fn name(text: &str) -> Name {
    Name::from_text(text.as_bytes(), None).unwrap()
}

pub(crate) fn apex() -> Name {
    name("contoso.example.")
}

/// The configuration whose zone has these static records.
pub(crate) fn configuration(records: &str) -> Configuration {
    let text = "version = 1\n[dns]\nnameservers = [{ name = \"ns1.example.net\" }]\n\
        [[pool]]\nname = \"pool1\"\n[[pool.target]]\nname = \"edge1.contoso.example\"\n\
        publish = [\"192.0.2.10\", \"2001:db8::10\"]\n\
        [[pool]]\nname = \"pool2\"\n[[pool.target]]\nname = \"edge2.contoso.example\"\n\
        publish = [\"198.51.100.10\"]\n\
        [[route]]\nname = \"contoso\"\ndomains = [\"contoso.example\"]\npools = [\"pool1\", \"pool2\"]\n\
        [route.address]\nname = \"XMPP.{domain}\"\n\
        [[route.service]]\nkind = \"xmpp-server\"\n\
        [[zone]]\napex = \"contoso.example\"\nfile = \"zone\"\n";
    let zone = format!("{HEAD}{records}");
    let mut file = |_: &Path| Ok(zone.clone());
    config::parse(text, "test.toml", &mut file).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The decision that puts this pool first.
pub(crate) fn decision(first: u8) -> Decision {
    let host = |pool: u8| -> DomainName { format!("edge{pool}.contoso.example").parse().unwrap() };
    let order = [first, 3 - first];
    let srv = order
        .iter()
        .zip([10, 20])
        .map(|(pool, priority)| SrvRecord {
            priority,
            weight: 0,
            port: 5269,
            target: host(*pool),
        });
    let addresses: &[(Family, &str)] = match first {
        1 => &[(Family::Ipv4, "192.0.2.10"), (Family::Ipv6, "2001:db8::10")],
        _ => &[(Family::Ipv4, "198.51.100.10")],
    };
    let order: Vec<PoolName> = order
        .iter()
        .map(|pool| format!("pool{pool}").parse().unwrap())
        .collect();
    Decision {
        route: "contoso".parse().unwrap(),
        generation: Generation(1),
        at: Wall::default(),
        active: order[0].clone(),
        services: [(ServiceKind::XmppServer, srv.collect())].into(),
        addresses: addresses
            .iter()
            .map(|(family, text)| (*family, vec![text.parse().unwrap()]))
            .collect(),
        order,
        ttl: 30,
        reason: Reason::FirstStart,
    }
}

pub(crate) fn key(algorithm: KeyAlgorithm) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(algorithm).unwrap())
}

pub(crate) fn single(key: &Arc<SigningKey>) -> ZoneKeys {
    ZoneKeys::single(key.clone(), 3600)
}

/// A moment that validators with a clock accept: now.
pub(crate) fn today() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Wall::from_millis(i64::try_from(since.unwrap().as_millis()).unwrap())
}

/// A server's zones as time goes on.
pub(crate) struct Served {
    pub(crate) configuration: Configuration,
    pub(crate) keys: Option<Arc<ZoneKeys>>,
    pub(crate) challenges: Vec<(Name, Vec<&'static [u8]>)>,
    pub(crate) active: u8,
    pub(crate) now: Wall,
    pub(crate) serial: u32,
    pub(crate) zones: Zones,
    /// A zone with more RRsets is signed beside its publications.
    pub(crate) most: usize,
}

impl Served {
    pub(crate) fn new(records: &str, keys: Option<ZoneKeys>) -> Served {
        let mut served = Served {
            configuration: configuration(records),
            keys: keys.map(Arc::new),
            challenges: Vec::new(),
            active: 1,
            now: today(),
            serial: 0,
            zones: Zones::empty(),
            most: usize::MAX,
        };
        served.publish();
        served
    }

    /// Publishes what is in force now, over what was published before.
    pub(crate) fn publish(&mut self) -> Arc<ZoneVersion> {
        self.publish_from(&BTreeMap::new());
        self.zone()
    }

    /// What the zone waits for, if it does.
    pub(crate) fn outline(&self) -> Option<Arc<Outline>> {
        self.zones.outlines().first().cloned()
    }

    /// Its draft, with a serial of its own.
    pub(crate) fn draft(&mut self, outline: &Outline) -> BTreeMap<Name, Arc<Draft>> {
        self.serial += 1;
        let draft = outline.draft(Serial(self.serial));
        [(apex(), Arc::new(draft))].into()
    }

    /// Publishes what is in force now, the zone from its draft if that is there.
    pub(crate) fn publish_from(&mut self, drafts: &BTreeMap<Name, Arc<Draft>>) {
        let before = std::mem::take(&mut self.zones);
        self.zones = self.compiled(Some(&before), self.most, drafts);
        assert!(self.zones.faults().is_empty());
    }

    /// The same from scratch; nothing is published.
    pub(crate) fn scratch(&mut self) -> Arc<ZoneVersion> {
        let zones = self.compiled(None, usize::MAX, &BTreeMap::new());
        zones.iter().next().unwrap().clone()
    }

    fn compiled(
        &mut self,
        previous: Option<&Zones>,
        most: usize,
        drafts: &BTreeMap<Name, Arc<Draft>>,
    ) -> Zones {
        self.serial += 1;
        let keys: BTreeMap<Name, Arc<ZoneKeys>> = self
            .keys
            .iter()
            .map(|keys| (apex(), keys.clone()))
            .collect();
        compile(&Inputs {
            layout: &self.configuration.layout,
            decisions: &[("contoso".parse().unwrap(), decision(self.active))].into(),
            keys: &keys,
            unsignable: &Arc::default(),
            challenges: &Challenges::new(self.challenges.clone()),
            previous,
            generation: Generation(u64::from(self.serial)),
            serial: Serial(self.serial),
            now: self.now,
            beside: Some(Beside { most, drafts }),
        })
    }

    pub(crate) fn zone(&self) -> Arc<ZoneVersion> {
        let zone = self.zones.iter().next();
        zone.unwrap().clone()
    }
}
