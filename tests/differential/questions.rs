//! The questions: made from the names of the corpus, and from what lies beside them.
//!
//! In: the corpus, a seed. Out: messages. Which names and types are asked is the same in every run; flags, EDNS, case
//! and transport are drawn by the seed, as are the types asked of names that are not there.

use std::collections::BTreeSet;
use std::fmt;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use repoint::serve::Transport;
use repoint::zone::{Name, type_text};

use crate::corpus::Corpus;
use crate::dns::{Query, query};

/// Types that somebody may have data of.
const TYPES: [u16; 32] = [
    1, 2, 5, 6, 12, 13, 15, 16, 17, 18, 28, 33, 35, 36, 39, 43, 44, 46, 47, 48, 50, 51, 52, 59, 60,
    61, 64, 65, 99, 256, 257, 65280,
];
/// Types that one name has, whose text each server reads by itself: LOC, CERT, APL, IPSECKEY, DHCID, CSYNC, ZONEMD, and those of
/// RFC 6742 and RFC 7043. SVCB and HTTPS are asked for everywhere.
const YOUNGER: [u16; 13] = [29, 37, 42, 45, 49, 62, 63, 104, 105, 106, 107, 108, 109];
/// ANY.
const ANY: u16 = 255;
/// Types that nobody stores: SIG(0)'s none, OPT, NXNAME, an unassigned meta type, TKEY, TSIG, MAILB, MAILA, reserved.
/// Transfers are tested elsewhere.
const META: [u16; 9] = [0, 41, 128, 200, 249, 250, 253, 254, 65535];
/// Questions that are asked with all flags, sizes and transports: one of each kind of answer, small and large.
const IN_EVERY_WAY: [(&str, u16); 20] = [
    ("_xmpp-server._tcp.fed.contoso.com.", 33),
    ("_xmpp-server._tcp.contoso.com.", 33),
    ("host.chain.example.", 28),
    ("a.b.first.dname.example.", 16),
    ("x.toolong.dname.example.", 1),
    ("a3.chain.example.", 16),
    ("x.wild.chain.example.", 1),
    ("any.service.wild.example.", 33),
    ("longer.types.example.", 16),
    ("many.types.example.", 1),
    ("_pool._tcp.types.example.", 33),
    ("c.types.example.", 15),
    ("k.types.example.", 35),
    ("r.types.example.", 36),
    ("_srv._tcp.types.example.", 33),
    ("nothing.types.example.", 1),
    ("a.types.example.", 99),
    ("www.in-domain.cuts.example.", 1),
    ("www.many.cuts.example.", 1),
    ("secure.cuts.example.", 43),
];
/// RD, AD and CD; the others have no meaning in a query.
const FLAGS: [u16; 3] = [0x0100, 0x0020, 0x0010];
/// No EDNS, and sizes that an OPT says.
const SIZES: [Option<u16>; 4] = [None, Some(512), Some(1232), Some(4096)];
/// How many types are asked of a name that is not an owner, unless everything is asked.
const FEW: usize = 5;

/// One question as sent.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) name: Name,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) dnssec_ok: bool,
    /// The size that the OPT says; none without one.
    pub(crate) edns: Option<u16>,
    pub(crate) transport: Transport,
    pub(crate) octets: Vec<u8>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} class {} flags {:02x}{:02x}",
            self.name,
            type_text(self.rtype.into()),
            self.class,
            self.octets[2],
            self.octets[3]
        )?;
        match self.edns {
            Some(size) => write!(f, " EDNS {size} DO {}", self.dnssec_ok)?,
            None => write!(f, " no EDNS")?,
        }
        write!(f, " {:?}", self.transport)
    }
}

/// The seed of this run: `REPOINT_SEED`, or a new one.
pub(crate) fn seed() -> u64 {
    match std::env::var("REPOINT_SEED") {
        Ok(seed) => seed.parse().expect("REPOINT_SEED is a number"),
        Err(_) => rand::random(),
    }
}

/// Whether everything is asked of every name.
fn long() -> bool {
    std::env::var("REPOINT_DIFFERENTIAL").is_ok_and(|what| what == "long")
}

/// All questions of a run.
pub(crate) fn of(corpus: &Corpus, seed: u64) -> Vec<Asked> {
    let mut random = StdRng::seed_from_u64(seed);
    let owners: BTreeSet<Name> = corpus.names().into_iter().collect();
    let beside: BTreeSet<Name> = owners
        .iter()
        .flat_map(beside)
        .chain(elsewhere())
        .filter(|name| !owners.contains(name))
        .collect();
    let mut questions = Vec::new();
    for name in &owners {
        for rtype in TYPES.into_iter().chain([ANY]) {
            questions.push(draw(&mut random, name, rtype));
        }
    }
    for rtype in YOUNGER {
        questions.push(draw(
            &mut random,
            &self::name("younger.types.example."),
            rtype,
        ));
    }
    let rounds = if long() { TYPES.len() } else { FEW };
    for name in &beside {
        let mut types = TYPES;
        types.shuffle(&mut random);
        for rtype in types.into_iter().take(rounds).chain([ANY]) {
            questions.push(draw(&mut random, name, rtype));
        }
    }
    for zone in corpus.zones.iter() {
        let below = Name::from_text(b"x", Some(zone.apex())).unwrap();
        for name in [zone.apex(), &below] {
            for rtype in META {
                questions.push(draw(&mut random, name, rtype));
            }
            // HESIOD, NONE, ANY and an unassigned class. Not CHAOS: BIND answers that three times a second.
            for class in [4, 254, 255, 4711] {
                questions.push(in_class(&mut random, name, 1, class));
            }
        }
    }
    for (name, rtype) in IN_EVERY_WAY {
        let name = self::name(name);
        questions.extend(in_every_way(&name, rtype));
    }
    questions
}

/// What a validator is asked: every type of every name that is there, and a few of every name beside them. Recursion is
/// desired, and DNSSEC.
pub(crate) fn for_validators(corpus: &Corpus) -> Vec<Asked> {
    let owners: BTreeSet<Name> = corpus.names().into_iter().collect();
    let beside: BTreeSet<Name> = owners
        .iter()
        .flat_map(beside)
        .filter(|name| !owners.contains(name))
        .collect();
    let of_owners = owners
        .iter()
        .flat_map(|name| TYPES.iter().map(move |rtype| (name, *rtype)));
    // A, TXT, SRV and DS.
    let younger = self::name("younger.types.example.");
    let of_younger = YOUNGER.iter().map(|rtype| (&younger, *rtype));
    let of_others = beside
        .iter()
        .flat_map(|name| [1, 16, 33, 43].map(|rtype| (name, rtype)));
    of_owners
        .chain(of_younger)
        .chain(of_others)
        // No validator validates signatures as data.
        .filter(|(_, rtype)| *rtype != 46)
        .map(|(name, rtype)| to_validate(name.clone(), rtype))
        .collect()
}

/// The question of a validator.
pub(crate) fn to_validate(name: Name, rtype: u16) -> Asked {
    let way = (Some(4096), true);
    asked((name, rtype, 1), 0x0100, way, Transport::Udp)
}

pub(crate) fn name(text: &str) -> Name {
    Name::from_text(text.as_bytes(), None).unwrap()
}

/// Names around a name: below, far below, above, beside on either side, where a wildcard would be.
fn beside(name: &Name) -> Vec<Name> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let mut names = Vec::new();
    let mut push = |labels: Vec<&[u8]>| names.extend(Name::from_labels(labels));
    let under = |more: &[&'static [u8]]| -> Vec<&[u8]> {
        more.iter().copied().chain(labels.iter().copied()).collect()
    };
    push(under(&[b"x"]));
    push(under(&[b"*"]));
    push(under(&[b"\0"]));
    push(under(&[b"two", b"below"]));
    push(under(&[b"x", b"*"]));
    push(under(&[b"_tcp"]));
    let Some((first, rest)) = labels.split_first() else {
        return names;
    };
    push(rest.to_vec());
    let instead = |label: &[u8]| -> Option<Name> {
        Name::from_labels(std::iter::once(label).chain(rest.iter().copied())).ok()
    };
    let mut just_after = first.to_vec();
    just_after.push(0);
    let mut longer = first.to_vec();
    longer.push(b'-');
    let shorter = &first[..first.len() - 1];
    for label in [b"*", b"0", b"~", just_after.as_slice(), &longer, shorter] {
        names.extend(instead(label));
    }
    names
}

/// Names that lie in no zone, or at the limits of what a name may be.
fn elsewhere() -> impl Iterator<Item = Name> {
    let longest = format!("{}{}.wild.example.", "a.".repeat(119), "b");
    let wide = format!(
        "{}{}chain.example.",
        format!("{}.", "c".repeat(63)).repeat(3),
        "d."
    );
    // Names that are the longest there may be once they are redirected, and one octet too long.
    let redirected = |octets: usize| format!("{}.long.dname.example.", "e".repeat(octets));
    [
        redirected(5),
        redirected(6),
        ".".to_owned(),
        "example.".to_owned(),
        "com.".to_owned(),
        "contoso.com.".to_owned(),
        "_tcp.contoso.com.".to_owned(),
        "example.org.".to_owned(),
        "www.example.org.".to_owned(),
        "achain.example.".to_owned(),
        longest,
        wide,
    ]
    .into_iter()
    .map(|text| Name::from_text(text.as_bytes(), None).unwrap())
}

fn draw(random: &mut StdRng, name: &Name, rtype: u16) -> Asked {
    in_class(random, name, rtype, 1)
}

fn in_class(random: &mut StdRng, name: &Name, rtype: u16, class: u16) -> Asked {
    let name = match random.random_range(0..4) {
        0 => mixed(random, name),
        _ => name.clone(),
    };
    let flags = FLAGS
        .into_iter()
        .filter(|_| random.random_bool(0.3))
        .fold(0, |flags, flag| flags | flag);
    let edns = *SIZES.choose(random).unwrap();
    let dnssec_ok = edns.is_some() && random.random_bool(0.5);
    let transport = match random.random_range(0..4) {
        0 => Transport::Tcp,
        _ => Transport::Udp,
    };
    asked((name, rtype, class), flags, (edns, dnssec_ok), transport)
}

/// One question with every combination of flags, EDNS and transport.
fn in_every_way(name: &Name, rtype: u16) -> Vec<Asked> {
    let mut questions = Vec::new();
    for some in 0..8_u16 {
        let chosen = (0..3).filter(|n| some >> n & 1 == 1).map(|n| FLAGS[n]);
        let flags = chosen.fold(0, |flags, flag| flags | flag);
        for edns in SIZES {
            for dnssec_ok in [false, true] {
                for transport in [Transport::Udp, Transport::Tcp] {
                    if edns.is_some() || !dnssec_ok {
                        let what = (name.clone(), rtype, 1);
                        questions.push(asked(what, flags, (edns, dnssec_ok), transport));
                    }
                }
            }
        }
    }
    questions
}

fn asked(
    (name, rtype, class): (Name, u16, u16),
    flags: u16,
    (edns, dnssec_ok): (Option<u16>, bool),
    transport: Transport,
) -> Asked {
    let mut question = name.wire().to_vec();
    question.extend(rtype.to_be_bytes());
    question.extend(class.to_be_bytes());
    let mut message = Query {
        question,
        ..query(".", "A").flags(flags)
    };
    if let Some(size) = edns {
        message = message.opt(size, u32::from(dnssec_ok) << 15, &[]);
    }
    Asked {
        name,
        rtype,
        class,
        dnssec_ok,
        edns,
        transport,
        octets: message.octets(),
    }
}

/// The same name in another spelling.
fn mixed(random: &mut StdRng, name: &Name) -> Name {
    let labels: Vec<Vec<u8>> = name
        .labels()
        .map(|label| {
            label
                .iter()
                .map(|octet| match random.random_bool(0.5) {
                    true => octet.to_ascii_uppercase(),
                    false => octet.to_ascii_lowercase(),
                })
                .collect()
        })
        .collect();
    Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap()
}
