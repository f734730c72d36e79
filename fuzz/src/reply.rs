//! Any octets as a reply of another server.

use domain::base::Message;
use domain::rdata::AllRecordData;
use repoint::ask::Reply;

/// Reads the octets as a reply. Whatever it takes, the other reader takes too, with the same number of records.
pub fn reply(data: &[u8]) {
    let Ok(reply) = Reply::read(data) else {
        return;
    };
    for record in reply
        .answers
        .iter()
        .chain(&reply.authorities)
        .chain(&reply.additionals)
    {
        let mut out = Vec::new();
        record.write(&mut out);
        assert!(!out.is_empty());
    }
    let message = Message::from_octets(data).unwrap();
    assert_eq!(message.header().id(), reply.id);
    let Ok(answers) = message.answer() else {
        return;
    };
    let read = answers
        .limit_to::<AllRecordData<_, _>>()
        .filter(Result::is_ok)
        .count();
    assert!(read <= reply.answers.len());
}
