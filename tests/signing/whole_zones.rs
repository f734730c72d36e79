//! Signed zones of every shape, as ldns, BIND and Knot see them.

use std::sync::Arc;

use hickory_proto::rr::RecordType;
use repoint::zone::{ChildRecords, KeyAlgorithm, Role, Signer, SigningKey, ZoneKeys, ZoneVersion};

use crate::ground::{Served, apex, key, name, single};
use crate::tools::{Keys, accept};

const BOTH: [KeyAlgorithm; 2] = [KeyAlgorithm::EcdsaP256Sha256, KeyAlgorithm::Ed25519];

/// Records of one zone each.
fn shapes() -> Vec<(&'static str, String)> {
    let digest = "AB".repeat(32);
    let deep: String = (0..40).map(|n| format!("l{n}.")).collect();
    let many: String = (0..300)
        .map(|n| format!("n{n} A 192.0.2.{}\nn{n} TXT \"{n}\"\n", n % 256))
        .collect();
    vec![
        ("nothing but the steered names", String::new()),
        (
            "wildcards",
            "* TXT \"any\"\n*.sub A 192.0.2.1\nhost.sub A 192.0.2.2\n*.a.*.b TXT \"star inside\"\n".into(),
        ),
        (
            "empty non-terminals",
            "a.b.c.d TXT \"deep\"\nx.b.c.d TXT \"beside\"\n_tcp.e.f TXT \"also\"\n".into(),
        ),
        (
            "delegations",
            format!(
                "child NS ns.child\nchild DS 12345 13 2 {digest}\nns.child A 203.0.113.53\n\
                 insecure NS ns.elsewhere.example.\nsibling NS ns.child\n\
                 under.empty NS ns.under.empty\nns.under.empty AAAA 2001:db8::53\n\
                 a.ns.under.empty A 192.0.2.53\nunder.empty NS a.ns.under.empty\n\
                 itself NS itself\nitself A 203.0.113.54\nitself AAAA 2001:db8::54\n"
            ),
        ),
        (
            "aliases and case",
            "WWW CNAME Edge1.Contoso.Example.\nMixed.Case A 192.0.2.7\nMixed.Case MX 10 Mail.Contoso.EXAMPLE.\n\
             mail A 192.0.2.8\n@ MX 10 MAIL\nr RP Admin.Contoso.Example. Txt.Contoso.Example.\n\
             k KX 1 MAIL\nn NAPTR 1 1 \"s\" \"x\" \"\" Mail.Contoso.Example.\nafs AFSDB 1 MAIL\n\
             rt RT 10 MAIL\n".into(),
        ),
        ("names of forty labels and odd octets", format!("{deep}deep A 192.0.2.1\n\\000\\001\\127 TXT \"odd\"\na\\.b TXT \"dot\"\n\\042\\032 TXT \"space\"\n")),
        (
            "every type a file may hold",
            format!("t CAA 0 issue \"ca.example\"\nt TLSA 3 1 1 {digest}\nt SSHFP 4 2 {digest}\nt HINFO \"a\" \"b\"\n\
             t URI 10 1 \"https://x.example/\"\nt TYPE65 \\# 3 000100\nt TYPE65280 \\# 3 010203\n\
             t OPENPGPKEY AAAA\nt PTR Host.Example.\nt TXT \"b\" \"a\"\nt TXT \"a\"\nt TXT \"B\"\n"),
        ),
        ("many names", many),
    ]
}

#[test]
fn zones_of_every_shape_verify_with_both_algorithms() {
    for algorithm in BOTH {
        let key = key(algorithm);
        for (what, records) in shapes() {
            let mut served = Served::new(&records, Some(single(&key)));
            let zone = served.zone();
            assert!(zone.is_signed());
            accept(&format!("{what}, {algorithm}"), &zone, Keys::Combined);
            served.active = 2;
            accept(
                &format!("{what}, {algorithm}, after a failover"),
                &served.publish(),
                Keys::Combined,
            );
        }
    }
}

#[test]
fn a_zone_verifies_at_every_stage_of_a_roll() {
    let (old, new) = (key(BOTH[0]), key(BOTH[0]));
    let (old_dnskey, new_dnskey) = (old.dnskey().clone(), new.dnskey().clone());
    let signer = |key: &Arc<SigningKey>| Signer {
        key: key.clone(),
        role: Role::Everything,
    };
    let both = vec![old_dnskey.clone(), new_dnskey.clone()];
    let stage = |signers: Vec<Signer>, published, child| ZoneKeys {
        ttl: 3600,
        published,
        signers,
        child,
    };
    let to_new = ChildRecords::Keys(vec![new_dnskey.clone()]);
    let stages = [
        (
            "the new key is only published",
            stage(vec![signer(&old)], both.clone(), ChildRecords::None),
        ),
        (
            "both sign",
            stage(
                vec![signer(&old), signer(&new)],
                both.clone(),
                to_new.clone(),
            ),
        ),
        (
            "the old key is only published",
            stage(vec![signer(&new)], both, to_new.clone()),
        ),
        (
            "the old key has gone",
            stage(vec![signer(&new)], vec![new_dnskey], to_new),
        ),
        (
            "the parent's DS should go",
            ZoneKeys {
                child: ChildRecords::Delete,
                ..single(&new)
            },
        ),
    ];
    let mut served = Served::new("www A 192.0.2.1\n", Some(single(&old)));
    for (what, keys) in stages {
        served.keys = Some(keys.into());
        let zone = served.publish();
        let count = |rtype| zone.apex_node().signature(rtype).unwrap().rdatas.len();
        let signing = served.keys.as_ref().unwrap().signers.len();
        assert_eq!(count(RecordType::SOA), signing, "{what}");
        let two = served.keys.as_ref().unwrap().published.len() > 1;
        accept(what, &zone, if two { Keys::Two } else { Keys::Combined });
    }
    let text = served.zone().to_master_text();
    assert!(text.contains("\tCDS\t0 0 0 00\n"), "{text}");
    assert!(text.contains("\tCDNSKEY\t0 3 0 AA==\n"), "{text}");
    served.keys = None;
    assert!(!served.publish().is_signed());
    let text = served.zone().to_master_text();
    for gone in ["RRSIG", "NSEC", "DNSKEY", "CDS"] {
        assert!(!text.contains(gone), "{text}");
    }
}

#[test]
fn a_pair_of_keys_verifies_and_each_signs_its_part() {
    for algorithm in BOTH {
        let ksk = key(algorithm);
        let zsk = key(algorithm).to_pem().unwrap();
        let zsk = Arc::new(SigningKey::from_pem(&zsk, false).unwrap());
        let keys = ZoneKeys {
            ttl: 300,
            published: vec![ksk.dnskey().clone(), zsk.dnskey().clone()],
            signers: vec![
                Signer {
                    key: ksk.clone(),
                    role: Role::Keys,
                },
                Signer {
                    key: zsk,
                    role: Role::Zone,
                },
            ],
            child: ChildRecords::Keys(vec![ksk.dnskey().clone()]),
        };
        let served = Served::new("www A 192.0.2.1\n", Some(keys));
        let zone = served.zone();
        accept("KSK and ZSK", &zone, Keys::Split);
        for rtype in [RecordType::DNSKEY, RecordType::CDS, RecordType::CDNSKEY] {
            let rrsig = &zone.apex_node().signature(rtype).unwrap().rdatas;
            assert_eq!(rrsig.len(), 1);
            let tag = format!(" {} {}", ksk.tag(), apex());
            assert!(rrsig[0].to_text(RecordType::RRSIG).contains(&tag));
        }
    }
}

#[test]
fn a_zone_verifies_with_a_challenge_and_after_it() {
    let records =
        "_acme-challenge.there TXT \"written\"\nwww CNAME edge1\nchild NS ns.example.net.\n";
    let mut served = Served::new(records, Some(single(&key(BOTH[0]))));
    let before = served.zone();
    served.challenges = vec![
        (
            name("_acme-challenge.contoso.example."),
            vec![b"one", b"two"],
        ),
        (
            name("_acme-challenge.deep.down.contoso.example."),
            vec![b"three"],
        ),
        (
            name("_acme-challenge.there.contoso.example."),
            vec![b"four"],
        ),
        (name("www.contoso.example."), vec![b"at an alias"]),
        (
            name("below.child.contoso.example."),
            vec![b"below a delegation"],
        ),
        (name("elsewhere.example."), vec![b"in no zone"]),
    ];
    let with = served.publish();
    accept("with challenges", &with, Keys::Combined);
    let text = with.to_master_text();
    let texts: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("\tTXT\t\""))
        .collect();
    assert_eq!(
        texts,
        [
            "_acme-challenge.contoso.example.\t1\tIN\tTXT\t\"one\"",
            "_acme-challenge.contoso.example.\t1\tIN\tTXT\t\"two\"",
            "_acme-challenge.deep.down.contoso.example.\t1\tIN\tTXT\t\"three\"",
            "_acme-challenge.there.contoso.example.\t1\tIN\tTXT\t\"written\"",
            "_acme-challenge.there.contoso.example.\t1\tIN\tTXT\t\"four\"",
        ]
    );
    served.challenges.clear();
    let after = served.publish();
    accept("without challenges", &after, Keys::Combined);
    assert_ne!(after.serial(), before.serial());
    let unsigned = |zone: &ZoneVersion| -> Vec<String> {
        let text = zone.to_master_text();
        let lines = text
            .lines()
            .skip(1)
            .filter(|line| !line.contains("\tRRSIG\t"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(unsigned(&after), unsigned(&before));
}
