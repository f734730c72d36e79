//! A directory with a certificate in it, and a configuration that serves every transport with it.

use std::net::SocketAddr;
use std::path::Path;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};

use crate::server::{Place, Pools, Server, configuration, names};

/// A certificate made for a test, told apart by its serial number.
pub(crate) struct Made {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// A certificate whose time begins and ends these many days from now.
pub(crate) fn made(serial: u32, from: i64, until: i64) -> Made {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key: PKey<Private> = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "ns1.example.net").unwrap();
    let name = name.build();
    let days = |days: i64| {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Asn1Time::from_unix(i64::try_from(now.as_secs()).unwrap() + days * 86_400).unwrap()
    };
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let number = Asn1Integer::from_bn(&BigNum::from_u32(serial).unwrap()).unwrap();
    builder.set_serial_number(&number).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&days(from)).unwrap();
    builder.set_not_after(&days(until)).unwrap();
    let names = SubjectAlternativeName::new()
        .dns("ns1.example.net")
        .ip("127.0.0.1")
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    Made {
        chain: builder.build().to_pem().unwrap(),
        key: key.private_key_to_pem_pkcs8().unwrap(),
    }
}

impl Made {
    pub(crate) fn write(&self, place: &Place) {
        put(place, "chain.pem", &self.chain);
        put(place, "key.pem", &self.key);
    }
}

/// Puts a file there at one stroke.
pub(crate) fn put(place: &Place, name: &str, content: &[u8]) {
    let fresh = place.file("fresh.tmp");
    std::fs::write(&fresh, content).unwrap();
    std::fs::rename(fresh, place.file(name)).unwrap();
}

/// A zone with a small answer, a large one, and TTLs that differ.
const ZONE: &str = "$TTL 3600\n@ SOA ns1.example.net. hostmaster.example.net. 1 60 30 7d 45\n@ NS ns1.example.net.\n\
                    host 120 A 192.0.2.1\nmail 300 MX 10 host\n";

/// A place that serves every transport, with the certificate of serial number 1.
pub(crate) fn encrypted(pools: &Pools) -> Place {
    let place = Place::new(&text(pools, ""));
    let mut zone = ZONE.to_owned();
    for n in 0..150 {
        zone.push_str(&format!("big TXT \"{n} {}\"\n", "x".repeat(200)));
    }
    std::fs::write(place.file("other.zone"), zone).unwrap();
    made(1, -1, 89).write(&place);
    place
}

/// The configuration of [`encrypted`], with more keys in `[server]`.
pub(crate) fn text(pools: &Pools, more: &str) -> String {
    let server = format!(
        "[server]\nlisten_tls = [\"127.0.0.1:0\"]\nlisten_https = [\"127.0.0.1:0\"]\nlisten_quic = [\"127.0.0.1:0\"]\n\
         certificate = \"chain.pem\"\ncertificate_key = \"key.pem\"\n{more}"
    );
    let zone = "[[zone]]\napex = \"other.example\"\nfile = \"other.zone\"\n";
    configuration(pools, &names(1), 30).replacen("[server]\n", &server, 1) + zone
}

/// Where a running server answers over `transport`.
pub(crate) fn over(server: &Server, transport: &str) -> SocketAddr {
    let line = server.logged(&format!("answering over {transport} on"));
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// What a program prints; it must succeed.
pub(crate) fn said(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program)
        .args(arguments)
        .current_dir(Path::new("/"))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
