//! Any octets as an XML stream, in pieces of any size.

use repoint::probe::xml::{Event, Reader, XmlError};

/// More than a stream's beginning may have.
const LIMIT: usize = 64 * 1024;

/// Reads the octets in one piece, and in pieces whose sizes the first octet says: the same are refused, after the same
/// events.
pub fn xml(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    let (whole, pieces) = (read(stream.chunks(LIMIT)), read(stream.chunks(size)));
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

/// All events, text joined, and whether it was refused. How much of a text comes before what spoils it, and which of two
/// faults in it is named, depends on the pieces.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, bool) {
    let (mut events, refused) = read_to_end(pieces);
    if refused.is_some() && matches!(events.last(), Some(Event::Text(_))) {
        events.pop();
    }
    (events, refused.is_some())
}

fn read_to_end<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Option<XmlError>) {
    let mut reader = Reader::new(LIMIT);
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(error) = reader.feed(piece) {
            return (events, Some(error));
        }
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
