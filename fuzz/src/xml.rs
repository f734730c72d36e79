//! Any octets as an XML stream, in pieces of any size.

use repoint::probe::xml::{Event, Reader, XmlError};

/// Less than an input may have, so that it is met.
const LIMIT: usize = 6 * 1024;

/// Reads the octets in one piece, and in pieces whose sizes the first octet says: the same events, and the same refusal.
pub fn xml(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    let (whole, pieces) = (read(std::iter::once(stream)), read(stream.chunks(size)));
    assert_eq!(whole, pieces);
    let (events, _) = whole;
    let mut depth = 0_usize;
    for event in events {
        match event {
            Event::Start(_) => depth += 1,
            Event::End => depth = depth.checked_sub(1).expect("no end without its start"),
            Event::Text(_) => assert!(depth > 0, "no text outside of elements"),
        }
        assert!(depth <= 16, "bounded");
    }
}

/// All events, text joined, and what the stream was refused for.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Option<XmlError>) {
    let mut reader = Reader::new(LIMIT);
    let mut events = Vec::new();
    for piece in pieces {
        reader.feed(piece);
        loop {
            match reader.next_event() {
                Ok(None) => break,
                Ok(Some(Event::Text(more))) => match events.last_mut() {
                    Some(Event::Text(text)) => text.push_str(&more),
                    _ => events.push(Event::Text(more)),
                },
                Ok(Some(event)) => events.push(event),
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}
