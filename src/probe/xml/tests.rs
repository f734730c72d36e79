//! What the reader takes and refuses, and that how the bytes come apart makes no difference.

#![allow(clippy::unwrap_used)]

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::reader::{MAX_DECLARATION, MAX_TAG};
use super::*;

const STREAMS: &str = "http://etherx.jabber.org/streams";

fn read(text: &str) -> Result<Vec<Event>, XmlError> {
    let mut reader = Reader::new(64 * 1024);
    reader.feed(text.as_bytes());
    let mut events = Vec::new();
    while let Some(event) = reader.next_event()? {
        events.push(event);
    }
    Ok(events)
}

fn starts(events: &[Event]) -> Vec<(Option<&str>, &str)> {
    let mut names = Vec::new();
    for event in events {
        if let Event::Start(Start { name, .. }) = event {
            names.push((name.ns.as_deref(), name.local.as_str()));
        }
    }
    names
}

#[test]
fn namespaces_are_resolved_whatever_prefixes_are_used() {
    let events = read(
        "<?xml version='1.0'?><s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server'>\
         <s:features><starttls xmlns='tls'/><x:mechanisms xmlns:x='sasl'><x:mechanism>EXTERNAL</x:mechanism>\
         </x:mechanisms></s:features><message/>",
    )
    .unwrap();
    assert_eq!(
        starts(&events),
        [
            (Some(STREAMS), "stream"),
            (Some(STREAMS), "features"),
            (Some("tls"), "starttls"),
            (Some("sasl"), "mechanisms"),
            (Some("sasl"), "mechanism"),
            (Some("jabber:server"), "message"),
        ]
    );
}

/// What comes of a stream in these pieces: its events, text joined, and what it was refused for.
fn read_in<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> (Vec<Event>, Option<XmlError>) {
    let mut reader = Reader::new(limit);
    let mut events: Vec<Event> = Vec::new();
    for piece in pieces {
        reader.feed(piece);
        loop {
            match (reader.next_event(), events.last_mut()) {
                (Ok(None), _) => break,
                (Ok(Some(Event::Text(more))), Some(Event::Text(text))) => text.push_str(&more),
                (Ok(Some(event)), _) => events.push(event),
                (Err(error), _) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

/// Whatever the cuts, the same comes of it.
#[track_caller]
fn is_the_same_in_pieces(stream: &[u8], limit: usize, rng: &mut StdRng) {
    let whole = read_in([stream], limit);
    let shown = String::from_utf8_lossy(&stream[..stream.len().min(300)]);
    for size in [1, 2, 3, 7, 64, 255, 4096] {
        let cut = read_in(stream.chunks(size), limit);
        assert_eq!(cut, whole, "in pieces of {size}, at most {limit}: {shown}");
    }
    let ends = stream.len().saturating_sub(12)..=stream.len();
    let cuts: Vec<usize> = match stream.len() {
        0..=300 => (0..=stream.len()).collect(),
        length => ends
            .chain((0..4).map(|_| rng.random_range(0..length)))
            .collect(),
    };
    for at in cuts {
        let (before, after) = stream.split_at(at);
        let cut = read_in([before, after], limit);
        assert_eq!(cut, whole, "cut at {at}, at most {limit}: {shown}");
    }
}

#[test]
fn how_the_bytes_come_apart_makes_no_difference() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let whole = "<?xml version=\"1.0\" encoding='UTF-8'?>\n<a x='1 &gt; 0' y=\"'>'\"><b/> <c>gr\u{fc}n &amp; \u{1f600}\
                 &#x41;</c><![CDATA[<raw>]]></a>";
    let (events, refused) = read_in([whole.as_bytes()], 4096);
    assert_eq!((events.len(), refused), (9, None));
    is_the_same_in_pieces(whole.as_bytes(), 4096, &mut rng);
    for _ in 0..400 {
        let stream = any_stream(&mut rng);
        let limit = match rng.random_range(0..3) {
            0 => rng.random_range(0..=stream.len() + 10),
            _ => 64 * 1024,
        };
        is_the_same_in_pieces(&stream, limit, &mut rng);
    }
}

/// A stream of parts that are whole, nearly whole, or none at all.
fn any_stream(rng: &mut StdRng) -> Vec<u8> {
    const PARTS: &[&[u8]] = &[
        b"<?xml version='1.0'?>",
        b"<?xml version='1.0' encoding='UTF-8' standalone='yes'?>",
        b"<?php x ?>",
        b"<a>",
        b"<a xmlns='u' xmlns:p='v' p:x='1' y='&amp;&#65;'>",
        b"<p:a/>",
        b"<b/>",
        b"</a>",
        b"</b >",
        b"<a <b>",
        b"<a x='",
        b"<!-- no -->",
        b"<![CDATA[<raw>]]>",
        b"<![CDATA[ ]] >",
        b"<![CDA",
        b" \r\n",
        b"text",
        b"gr\xc3\xbcn \xf0\x9f\x98\x80",
        b"\xc3",
        b"\xe2\x28",
        b"\xf0\x9f",
        b"\xff",
        b"\x01",
        b"\xef\xbf\xbe",
        b"&lt;",
        b"&#x10FFFF;",
        b"&#x00010FFFF;",
        b"&#0;",
        b"&lol;",
        b"& ",
        b"&am",
        b"&\xff;",
        b"&quot",
        b";",
        b"<",
        b">",
    ];
    let mut stream = Vec::new();
    if rng.random_bool(0.8) {
        stream.extend(b"<a>");
    }
    for _ in 0..rng.random_range(0..12) {
        match rng.random_range(0..40) {
            0 => stream.push(rng.random()),
            1 => stream.extend(" ".repeat(rng.random_range(0..300)).bytes()),
            2 => stream.truncate(stream.len().saturating_sub(rng.random_range(0..9))),
            _ => stream.extend(PARTS[rng.random_range(0..PARTS.len())]),
        }
    }
    stream
}

#[test]
fn each_limit_is_the_same_however_the_bytes_come_apart() {
    let mut rng = StdRng::seed_from_u64(1);
    for (begin, filler, end, limit) in [
        ("<?xml version='1.0'", " ", "?>", MAX_DECLARATION),
        ("<?xml version='1.0' ", "x", "?>", MAX_DECLARATION),
        ("<a x='", "x", "'>", MAX_TAG),
        ("<a x='", "<", "'>", MAX_TAG),
        ("</a", " ", ">", MAX_TAG),
        ("<![CDATA[", "x", "]]>", MAX_TAG),
        ("<![CDATA[", "]", "]]>", MAX_TAG),
        ("&#x", "0", "41;", 10),
        ("&", "x", ";", 10),
        ("&", "\u{fc}", ";", 10),
    ] {
        let open = if begin.starts_with("<?") || begin == "<a x='" {
            ""
        } else {
            "<a>"
        };
        let mut was_refused = false;
        for length in limit - 2..=limit + 2 {
            let count = length.saturating_sub(begin.len() + end.len()) / filler.len();
            let mut stream = format!("{open}{begin}{}", filler.repeat(count));
            is_the_same_in_pieces(stream.as_bytes(), 64 * 1024, &mut rng);
            stream.push_str(end);
            is_the_same_in_pieces(stream.as_bytes(), 64 * 1024, &mut rng);
            stream.push_str("<b/>");
            is_the_same_in_pieces(stream.as_bytes(), 64 * 1024, &mut rng);
            let refused = read_in([stream.as_bytes()], 64 * 1024).1.is_some();
            assert!(
                refused >= was_refused,
                "{begin} of {length} is within the limit"
            );
            was_refused = refused;
        }
        assert!(was_refused, "{begin} has a limit");
    }
}

#[test]
fn attributes_are_decoded_and_kept_apart_by_namespace() {
    let events = read("<a xmlns:p='urn:p' v='&quot;&#65;&lt;' p:v='two' xml:lang='en'/>").unwrap();
    let Event::Start(start) = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(start.attributes[0].1, "\"A<");
    assert!(start.attributes[1].0.is("urn:p", "v"));
    let xml = "http://www.w3.org/XML/1998/namespace";
    assert!(start.attributes[2].0.is(xml, "lang"));
    assert_eq!(events[1], Event::End);
}

#[test]
fn what_has_no_place_in_a_stream_is_refused() {
    for text in [
        "<!DOCTYPE lolz [<!ENTITY lol \"lol\">]><a/>",
        "<a><!-- comment --></a>",
        "<a><?php x ?></a>",
        "<?xml-stylesheet href='x'?><a/>",
        "<a>&lol;</a>",
        "<a x='&lol;'/>",
        "<a>&#0;</a>",
        "<a>&#+65;</a>",
    ] {
        assert!(
            matches!(read(text), Err(XmlError::Restricted(_))),
            "{text}: {:?}",
            read(text)
        );
    }
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for text in [
        "220 mail.contoso.com ESMTP",
        "HTTP/1.1 400 Bad Request",
        "\u{16}\u{3}\u{1}",
        "<a></b>",
        "<a x='1' x='2'/>",
        "<a xmlns:p='u' xmlns:q='u' p:x='' q:x=''/>",
        "<a x=1/>",
        "<a x='1'y='2'/>",
        "<a x='<'/>",
        "<p:a/>",
        "<a:b:c xmlns:a='u'/>",
        "<1a/>",
        "<a/>text",
        "<a/><b/>",
        "<a><b <c/></a>",
        "<a>& x and no end of it</a>",
        "<?xml version='1.0' encoding='latin1'?><a/>",
        "<a>\u{1}</a>",
        "</a>",
        "<>",
    ] {
        assert!(
            matches!(read(text), Err(XmlError::Malformed(_))),
            "{text}: {:?}",
            read(text)
        );
    }
    let mut reader = Reader::new(100);
    reader.feed(b"<a>\xff\xfe</a>");
    reader.next_event().unwrap();
    assert!(reader.next_event().is_err());
}

#[test]
fn every_size_is_bounded() {
    let many_attributes: String = (0..40).map(|n| format!(" a{n}=''")).collect();
    for text in [
        "<a>".repeat(30),
        format!("<a {}", "x".repeat(10_000)),
        format!("<a{many_attributes}/>"),
        format!("<{}/>", "n".repeat(300)),
        format!("<a>{}", " ".repeat(70_000)),
        format!("<a><![CDATA[{}", " ".repeat(10_000)),
    ] {
        let shown = text.get(..20).unwrap().to_owned();
        assert!(
            matches!(read(&text), Err(XmlError::TooMuch(_))),
            "{shown}: {:?}",
            read(&text)
        );
    }
}

#[test]
fn random_bytes_never_panic() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let alphabet = b"<>/?!&;='\" ax:xmlns[]CDATA-#1\xc3\xbc\x00";
    for _ in 0..20_000 {
        let length = rng.random_range(0..60);
        let mut reader = Reader::new(1000);
        reader.feed(b"<a>");
        let mut taken = 0;
        for _ in 0..length {
            reader.feed(&[alphabet[rng.random_range(0..alphabet.len())]]);
            match reader.next_event() {
                Ok(Some(_)) => taken += 1,
                Ok(None) => {}
                Err(_) => break,
            }
        }
        assert!(taken <= length + 1);
    }
}
