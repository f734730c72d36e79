//! Data as text: whatever octets a record may have, its text is read as the same octets.

#![allow(clippy::unwrap_used)]

use hickory_proto::rr::RecordType;
use proptest::collection::vec;
use proptest::prelude::*;
use repoint::zone::{MasterFault, MasterProblem, Name, Rdata, StaticZone, type_text};

#[path = "world/tool.rs"]
mod tool;

/// What the tests start.
const PROGRAMS: &[&str] = &["named-checkzone"];

const HEAD: &str = "$TTL 60\n@ SOA a. b. 1 1 1 1 1\n@ NS a.\n";

fn read(line: &str) -> Result<StaticZone, Vec<MasterProblem>> {
    let apex = "contoso.com".parse().unwrap();
    let mut none = |_: repoint::zone::Include<'_>| Err("no file".to_owned());
    StaticZone::parse(
        &apex,
        "test.zone",
        format!("{HEAD}{line}\n").as_bytes(),
        &mut none,
    )
}

/// The data of `t` in a zone with this one line more.
fn data(line: &str) -> Option<Rdata> {
    let zone = read(line).ok()?;
    let owner = Name::from_text(b"t.contoso.com.", None).unwrap();
    let record = zone.owned_records().find(|record| record.owner == owner);
    record.map(|record| record.rdata)
}

/// Types that have a text of their own.
const TYPES: [u16; 70] = [
    1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 27, 28, 29,
    31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 42, 44, 45, 49, 52, 53, 55, 56, 57, 58, 61, 62, 63, 64,
    65, 67, 68, 99, 104, 105, 106, 107, 108, 109, 256, 257, 258, 259, 260, 261, 262, 263, 32768,
    32769,
];

fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(vec(any::<u8>(), 1..6), 0..4).prop_map(|labels| {
        let mut wire: Vec<u8> = Vec::new();
        for label in labels {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend(label);
        }
        wire.push(0);
        wire
    })
}

fn parameter() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let protocols = vec(vec(any::<u8>(), 1..5), 1..4).prop_map(|protocols| {
        let each = protocols.into_iter().flat_map(|protocol| {
            let length = u8::try_from(protocol.len()).unwrap();
            std::iter::once(length).chain(protocol)
        });
        each.collect::<Vec<u8>>()
    });
    prop_oneof![
        Just((0, vec![0, 1])),
        protocols.prop_map(|value| (1, value)),
        Just((2, Vec::new())),
        vec(any::<u8>(), 2).prop_map(|value| (3, value)),
        vec(any::<u8>(), 4).prop_map(|value| (4, value)),
        vec(any::<u8>(), 1..9).prop_map(|value| (5, value)),
        vec(any::<u8>(), 32).prop_map(|value| (6, value)),
        (7..u16::MAX, vec(any::<u8>(), 0..9)),
    ]
}

/// Octets that are often whole.
fn octets() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let service = (
        any::<u16>(),
        name(),
        prop::collection::btree_map(any::<u16>(), parameter(), 0..5),
    );
    let service = service.prop_map(|(priority, target, parameters)| {
        let mut wire = [&priority.to_be_bytes()[..], &target].concat();
        let by_key: std::collections::BTreeMap<u16, Vec<u8>> = parameters.into_values().collect();
        for (key, value) in by_key {
            wire.extend(key.to_be_bytes());
            wire.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            wire.extend(value);
        }
        (64, wire)
    });
    let place = (
        prop_oneof![4 => Just(0_u8), 1 => any::<u8>()],
        vec(0_u8..0xaa, 3),
        vec(any::<u8>(), 12),
    );
    let place =
        place.prop_map(|(version, sizes, rest)| (29, [vec![version], sizes, rest].concat()));
    let item = (1_u8..4, 0_u8..40, any::<bool>(), vec(any::<u8>(), 0..6));
    let prefixes = vec(item, 0..4).prop_map(|items| {
        let each = items
            .into_iter()
            .flat_map(|(family, prefix, negated, address)| {
                let length = u8::try_from(address.len()).unwrap() | u8::from(negated) << 7;
                [vec![0, family, prefix, length], address].concat()
            });
        (42, each.collect())
    });
    let gateway = (0_u8..5, name(), vec(any::<u8>(), 0..24));
    let gateway = gateway.prop_map(|(kind, name, key)| {
        let name = if kind == 3 { name } else { Vec::new() };
        (45, [vec![7, kind, 2], name, key].concat())
    });
    let host = (
        vec(any::<u8>(), 0..5),
        vec(any::<u8>(), 0..5),
        vec(name(), 0..3),
    );
    let host = host.prop_map(|(tag, key, servers)| {
        let lengths = vec![tag.len() as u8, 2, 0, key.len() as u8];
        (55, [lengths, tag, key, servers.concat()].concat())
    });
    let bits = vec(any::<u8>(), 1..5).prop_map(|bits| {
        (
            62,
            [vec![0, 0, 0, 66, 0, 3, 0, bits.len() as u8], bits].concat(),
        )
    });
    let relay = (any::<u8>(), 0_u8..5, name(), vec(any::<u8>(), 0..20));
    let relay = relay.prop_map(|(precedence, kind, name, octets)| {
        let relay = if kind == 3 { name } else { octets };
        (260, [vec![precedence, kind], relay].concat())
    });
    let part = (0_u8..=130, vec(any::<u8>(), 16), name());
    let part = part.prop_map(|(prefix, mut address, name)| {
        let length = 128_usize.saturating_sub(prefix.into()).div_ceil(8);
        if let Some(first) = address.first_mut().filter(|_| prefix % 8 > 0) {
            *first &= 0xff >> (prefix % 8);
        }
        let name = if prefix > 0 { name } else { Vec::new() };
        (
            38,
            [vec![prefix], address[..length].to_vec(), name].concat(),
        )
    });
    let any_type = (
        prop::sample::select(TYPES.to_vec()),
        vec(any::<u8>(), 0..40),
    );
    prop_oneof![4 => service, 1 => place, 1 => prefixes, 1 => gateway, 1 => host, 1 => bits, 1 => relay, 1 => part, 4 => any_type]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_text_of_any_data_is_read_as_the_same_octets((number, wire) in octets()) {
        let rtype = RecordType::from(number);
        if let Some(rdata) = Rdata::new(rtype, &wire) {
            let line = format!("t {} {}", type_text(rtype), rdata.to_text(rtype));
            // A name server or an alias may not be what its zone lacks; that is not about its text.
            if let Some(read) = data(&line) {
                prop_assert_eq!(read.wire(), wire.as_slice(), "{}", line);
                prop_assert_eq!(read.to_text(rtype), rdata.to_text(rtype));
            } else {
                let refused = read(&line).err().unwrap_or_default();
                // Octets need not be as many as a digest's kind has; a digest that is written needs to.
                let by_length = refused
                    .iter()
                    .any(|problem| matches!(problem.fault, MasterFault::Digest { .. }));
                let by_zone = matches!(number, 2 | 5 | 15 | 33);
                prop_assert!(by_zone || by_length, "{} is refused: {:?}", line, refused);
            }
        }
    }

    #[test]
    fn no_words_make_reading_panic(
        number in prop::sample::select(TYPES.to_vec()),
        words in vec("[ -~]{0,12}|[0-9]{1,6}|[nNsSeEwW]|alpn=\"?[a-z,\\\\]{0,6}\"?|1:[0-9./]{0,12}", 0..9),
    ) {
        let _ = read(&format!("t {} {}", type_text(number.into()), words.join(" ")));
    }
}

#[test]
fn canonical_form_lowers_names_of_the_types_of_rfc_4034_alone() {
    let name = b"\x01A\0";
    let with = |number: u16, before: &[u8]| {
        let wire = [before, name].concat();
        let rdata = Rdata::new(number.into(), &wire).unwrap();
        rdata.canonical(number.into()).contains(&b'a')
    };
    for (number, before) in [
        (2, &[][..]),
        (5, &[]),
        (12, &[]),
        (15, &[0, 1]),
        (33, &[0; 6]),
        (36, &[0, 1]),
        (39, &[]),
    ] {
        assert!(with(number, before), "{number}");
    }
    for (number, before) in [
        (64, &[0, 1][..]),
        (65, &[0, 1]),
        (107, &[0, 1]),
        (45, &[1, 3, 2]),
        (55, &[1, 2, 0, 1, 9, 9]),
    ] {
        assert!(!with(number, before), "{number}");
    }
}

/// A zone as BIND reads it, as the text that it writes.
fn through_bind(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("in.zone"), dir.path().join("out.zone"));
    std::fs::write(&file, text).unwrap();
    let done = tool::tool(PROGRAMS[0])
        .args("-k ignore -i none -f text -F text -s full -D -o".split(' '))
        .args([out.as_os_str(), "contoso.com".as_ref(), file.as_os_str()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}");
    std::fs::read_to_string(out).unwrap()
}

fn zone(text: &str) -> StaticZone {
    let apex = "contoso.com".parse().unwrap();
    let mut none = |_: repoint::zone::Include<'_>| Err("no file".to_owned());
    let zone = StaticZone::parse(&apex, "types.zone", text.as_bytes(), &mut none);
    zone.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Every record as a line, sorted.
fn lines(zone: &StaticZone) -> Vec<String> {
    let records = zone.owned_records();
    let mut lines: Vec<String> = records.map(|r| r.borrowed().to_string()).collect();
    lines.sort();
    lines
}

#[test]
fn bind_and_repoint_read_what_the_other_writes_of_every_type() {
    let text = include_str!("corpus/bind/types.zone");
    let ours = zone(text);
    let octets: Vec<String> = lines(&ours)
        .into_iter()
        .filter(|line| line.contains("\\# "))
        .collect();
    // NULL has no text, and BIND's notes have none either.
    assert_eq!(
        octets,
        [
            "note.contoso.com.\t3600\tIN\tTYPE65534\t\\# 5 0D00010000",
            "null.contoso.com.\t3600\tIN\tNULL\t\\# 3 010203"
        ]
    );
    let by_bind = through_bind(text);
    assert_eq!(lines(&zone(&by_bind)), lines(&ours));
    let from_ours = through_bind(&(lines(&ours).join("\n") + "\n"));
    assert_eq!(from_ours, by_bind);
}

#[test]
fn names_of_old_types_are_in_lower_case_in_the_canonical_form() {
    let name = b"\x01A\0";
    let with = |number: u16, before: &[u8]| {
        let wire = [before, name].concat();
        let rdata = Rdata::new(number.into(), &wire).unwrap();
        rdata.canonical(number.into())
    };
    for number in [3, 4, 7, 8, 9] {
        assert_eq!(with(number, &[]), b"\x01a\0", "{number}");
    }
    assert_eq!(with(38, b"\x78\x41"), b"\x78\x41\x01a\0");
    assert_eq!(with(260, &[1, 3]), b"\x01\x03\x01A\0");
}
