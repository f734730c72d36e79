//! Answers below a DNAME: the name asked for becomes another one (RFC 6672 §3.2 step 3c).
//!
//! In: a name, the node above it that has a DNAME. Out: the DNAME and its signature, the CNAME that says the same of this
//! one name, and the name that it leads to. Never here: which names are redirected (`zone`).

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::answer::{Reply, Step, required};
use crate::zone::{Name, Node, Rdata, Rrset, ZoneVersion};

impl Reply<'_> {
    /// Redirects a name below `node`.
    pub(super) fn redirect(&mut self, zone: &ZoneVersion, name: &Name, node: &Node) -> Step {
        let Some(set) = node.set(RecordType::DNAME) else {
            return Step::Done;
        };
        self.put_answer(zone, &node.name, node, set);
        let target = set.rdatas.first().and_then(|rdata| rdata.target(set.rtype));
        let Some(target) = target.and_then(|target| replaced(name, &node.name, &target)) else {
            // RFC 6672 §2.2: the new name would be too long.
            self.answer.rcode = ResponseCode::YXDomain;
            return Step::Done;
        };
        // RFC 6672 §3.1: with the DNAME's TTL. It is never signed (§5.3.1).
        let alias = Arc::new(Rrset {
            rtype: RecordType::CNAME,
            ttl: set.ttl,
            rdatas: vec![Rdata::name(&target)],
        });
        self.answer.answers.push(required(name, &alias));
        match self.rtype {
            // The alias itself was asked for; other servers end here as well.
            RecordType::CNAME => Step::Done,
            _ => Step::Alias(target),
        }
    }
}

/// `name` with what it has of `owner` replaced by `target`; none when the result is too long for a name.
fn replaced(name: &Name, owner: &Name, target: &Name) -> Option<Name> {
    let kept = name.wire().len().checked_sub(owner.wire().len())?;
    let wire = [&name.wire()[..kept], target.wire()].concat();
    Name::from_wire(&wire).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_labels_in_front_stay_as_they_were_asked_for() {
        let name = |text: &str| Name::from_text(text.as_bytes(), None).unwrap();
        // RFC 6672 §2.2, table 1; the last ones are of this test.
        for (asked, owner, target, result) in [
            (
                "a.example.com.",
                "example.com.",
                "example.net.",
                "a.example.net.",
            ),
            (
                "a.b.example.com.",
                "example.com.",
                "example.net.",
                "a.b.example.net.",
            ),
            (
                "ab.example.com.",
                "b.example.com.",
                "example.net.",
                "example.net.",
            ),
            (
                "a.x.example.com.",
                "x.example.com.",
                "example.net.",
                "a.example.net.",
            ),
            (
                "a.example.com.",
                "example.com.",
                "y.example.net.",
                "a.y.example.net.",
            ),
            (
                "cyc.example.com.",
                "example.com.",
                "example.com.",
                "cyc.example.com.",
            ),
            ("shortloop.x.x.", "x.", ".", "shortloop.x."),
            (
                "Host.OLD.example.",
                "old.example.",
                "New.example.",
                "Host.New.example.",
            ),
            ("a.", ".", "example.net.", "a.example.net."),
        ] {
            if name(asked).is_at_or_below(&name(owner)) {
                let replaced = replaced(&name(asked), &name(owner), &name(target)).unwrap();
                assert_eq!(replaced.to_string(), result);
            }
        }
    }

    #[test]
    fn a_name_of_255_octets_is_made_and_one_of_256_is_not() {
        let name = |text: &str| Name::from_text(text.as_bytes(), None).unwrap();
        let label = "a".repeat(62);
        // Three labels of 63 octets with their lengths, and 61 or 62 of the target.
        let asked = name(&format!("{label}.{label}.{label}.o."));
        let longest = name(&format!("{}.", "b".repeat(63)));
        assert_eq!(longest.wire().len(), 65);
        assert_eq!(
            replaced(&asked, &name("o."), &longest)
                .unwrap()
                .wire()
                .len(),
            254
        );
        let longer = name(&format!("{}.c.", "b".repeat(63)));
        assert!(replaced(&asked, &name("o."), &longer).is_none());
    }
}
