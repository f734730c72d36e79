//! The names that stand in a message being written, so that a later one ends in a pointer (RFC 1035 §4.1.4).
//!
//! In: names in wire form, the message so far. Out: the message with the name behind it, as short as what is remembered
//! allows. The work for a name grows with its labels and no faster, whatever names are written: endings are looked up by a
//! hash of theirs, and only what has the same hash and length is compared. Never here: which names are compressed.

/// Compression pointers reach this far (RFC 1035 §4.1.4).
const POINTER_REACH: usize = 0x3fff;
/// How many endings are remembered to point at.
const REMEMBERED: usize = 192;
const BUCKETS: usize = 256;
/// No ending: there are fewer than this.
const NONE: u8 = u8::MAX;
const _: () = assert!(REMEMBERED < NONE as usize);

/// What can be pointed at.
pub(super) struct Names {
    endings: Vec<Ending>,
    /// The newest ending of each bucket; each knows the one before it.
    newest: [u8; BUCKETS],
    /// Of the name being written, where its labels begin, and the hash from there to its end. Kept for its room.
    labels: Vec<(u8, u32)>,
    /// How many endings were compared, for the test of the bound.
    #[cfg(test)]
    compared: usize,
}

/// A name, or the end of one, that stands in the message.
#[derive(Clone, Copy)]
struct Ending {
    hash: u32,
    at: u16,
    length: u8,
    before: u8,
}

impl Default for Names {
    fn default() -> Names {
        Names {
            endings: Vec::new(),
            newest: [NONE; BUCKETS],
            labels: Vec::new(),
            #[cfg(test)]
            compared: 0,
        }
    }
}

impl Names {
    /// Writes the first name of a message, which has nothing to point at.
    pub(super) fn write_first(&mut self, wire: &[u8], out: &mut Vec<u8>) {
        self.split(wire);
        for n in 0..self.labels.len() {
            self.remember(n, wire, out.len() + usize::from(self.labels[n].0));
        }
        out.extend_from_slice(wire);
    }

    /// Writes a name, its longest ending that was written before as a pointer. Case must agree: what an operator
    /// or a client wrote is what is read.
    pub(super) fn write(&mut self, wire: &[u8], out: &mut Vec<u8>) {
        self.split(wire);
        let start = out.len();
        let found = (0..self.labels.len()).find_map(|n| Some((n, self.find(n, wire, out)?)));
        let new = found.map_or(self.labels.len(), |(n, _)| n);
        for n in 0..new {
            self.remember(n, wire, start + usize::from(self.labels[n].0));
        }
        match found {
            Some((n, at)) => {
                out.extend_from_slice(&wire[..usize::from(self.labels[n].0)]);
                out.extend((0xc000 | at).to_be_bytes());
            }
            None => out.extend_from_slice(wire),
        }
    }

    /// Forgets what stands at `to` or behind it.
    pub(super) fn rewind(&mut self, to: usize) {
        while let Some(last) = self.endings.pop_if(|last| usize::from(last.at) >= to) {
            self.newest[bucket(last.hash)] = last.before;
        }
    }

    /// Takes a name apart.
    fn split(&mut self, wire: &[u8]) {
        self.labels.clear();
        let mut at = 0;
        while wire[at] != 0 {
            // A name has 255 octets at most.
            self.labels.push((u8::try_from(at).unwrap_or(u8::MAX), 0));
            at += 1 + usize::from(wire[at]);
        }
        let mut hash = 0;
        let mut end = at;
        for (start, of_ending) in self.labels.iter_mut().rev() {
            hash = hash_with(hash, &wire[usize::from(*start)..end]);
            *of_ending = hash;
            end = usize::from(*start);
        }
    }

    /// Where the ending that begins with the n-th label stands in the message.
    fn find(&mut self, n: usize, wire: &[u8], out: &[u8]) -> Option<u16> {
        let (start, hash) = self.labels[n];
        let ending = &wire[usize::from(start)..];
        let mut next = self.newest[bucket(hash)];
        while let Some(known) = self.endings.get(usize::from(next)).copied() {
            next = known.before;
            if known.hash != hash || usize::from(known.length) != ending.len() {
                continue;
            }
            #[cfg(test)]
            {
                self.compared += 1;
            }
            if is_at(ending, usize::from(known.at), out) {
                return Some(known.at);
            }
        }
        None
    }

    /// Remembers that the ending from the n-th label on stands at `at`, where a pointer reaches that.
    fn remember(&mut self, n: usize, wire: &[u8], at: usize) {
        let (start, hash) = self.labels[n];
        if at > POINTER_REACH || self.endings.len() >= REMEMBERED {
            return;
        }
        let length = wire.len() - usize::from(start);
        let (Ok(at), Ok(length), Ok(number)) = (
            u16::try_from(at),
            u8::try_from(length),
            u8::try_from(self.endings.len()),
        ) else {
            return;
        };
        let before = std::mem::replace(&mut self.newest[bucket(hash)], number);
        self.endings.push(Ending {
            hash,
            at,
            length,
            before,
        });
    }
}

fn bucket(hash: u32) -> usize {
    usize::try_from(hash).unwrap_or(0) % BUCKETS
}

/// The hash of an ending and the label before it. Whoever finds names with equal hashes gains a comparison each: those of
/// one name differ in length, and all others are our operator's.
fn hash_with(hash: u32, label: &[u8]) -> u32 {
    let mut hash = u64::from(hash);
    for octets in label.chunks(8) {
        let mut word = [0; 8];
        word[..octets.len()].copy_from_slice(octets);
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    // The upper half depends on every octet.
    (hash >> 32) as u32
}

/// Whether the name written at `from` is `ending`.
fn is_at(ending: &[u8], from: usize, out: &[u8]) -> bool {
    let (mut at, mut rest) = (from, ending);
    loop {
        let Some(&length) = out.get(at) else {
            return false;
        };
        if length >= 0xc0 {
            // Pointers are ours and point backwards, so this ends.
            let Some(&low) = out.get(at + 1) else {
                return false;
            };
            at = usize::from(length & 0x3f) << 8 | usize::from(low);
            continue;
        }
        let end = 1 + usize::from(length);
        if out.get(at..at + end) != rest.get(..end) {
            return false;
        }
        if length == 0 {
            return true;
        }
        at += end;
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::serve::expand::name_at;

    /// The plainest writer there is: every ending is looked for at every place.
    fn plainly(names: &[Vec<u8>]) -> Vec<u8> {
        let (mut out, mut places) = (vec![0; 12], Vec::new());
        for wire in names {
            let mut at = 0;
            loop {
                if wire[at] == 0 {
                    out.push(0);
                    break;
                }
                let known = |from: &&usize| is_at(&wire[at..], **from, &out);
                if let Some(&from) = places.iter().find(known) {
                    out.extend((0xc000 | u16::try_from(from).unwrap_or(0)).to_be_bytes());
                    break;
                }
                if out.len() <= POINTER_REACH && places.len() < REMEMBERED {
                    places.push(out.len());
                }
                let next = at + 1 + usize::from(wire[at]);
                out.extend(&wire[at..next]);
                at = next;
            }
        }
        out
    }

    fn written(all: &[Vec<u8>]) -> (Vec<u8>, Names) {
        let (mut out, mut names) = (vec![0; 12], Names::default());
        for (n, wire) in all.iter().enumerate() {
            match n {
                0 => names.write_first(wire, &mut out),
                _ => names.write(wire, &mut out),
            }
        }
        (out, names)
    }

    fn of_labels(labels: &[&[u8]]) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in labels {
            wire.push(u8::try_from(label.len()).unwrap_or(0));
            wire.extend(*label);
        }
        wire.push(0);
        wire
    }

    /// Few labels, so that endings meet; some of them long, some in another case.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let labels: [&[u8]; 7] = [
            b"a",
            b"A",
            b"b",
            b"com",
            b"contoso",
            &[b'x'; 9],
            &[b'x'; 10],
        ];
        let label = prop::sample::select(labels.to_vec());
        prop::collection::vec(label, 0..20).prop_map(|labels| of_labels(&labels))
    }

    proptest! {
        #[test]
        fn names_are_written_as_by_the_plainest_writer_and_are_read_back(names in prop::collection::vec(name(), 1..60)) {
            let (out, _) = written(&names);
            prop_assert_eq!(&out, &plainly(&names));
            let mut at = 12;
            for wire in &names {
                let (name, end) = name_at(&out, at).expect("a name");
                prop_assert_eq!(name.wire(), wire.as_slice());
                at = end;
            }
            prop_assert_eq!(at, out.len());
        }

        #[test]
        fn what_is_taken_back_is_not_pointed_at(
            kept in prop::collection::vec(name(), 1..20),
            back in prop::collection::vec(name(), 0..20),
            after in prop::collection::vec(name(), 0..20),
        ) {
            let (mut out, mut names) = written(&kept);
            let to = out.len();
            for wire in &back {
                names.write(wire, &mut out);
            }
            out.truncate(to);
            names.rewind(to);
            for wire in &after {
                names.write(wire, &mut out);
            }
            prop_assert_eq!(out, plainly(&[kept, after].concat()));
        }
    }

    #[test]
    fn no_name_makes_more_work_than_it_has_labels() {
        let equal: Vec<&[u8]> = vec![b"a"; 127];
        let wire = of_labels(&equal);
        let (_, names) = written(std::slice::from_ref(&wire));
        assert_eq!(names.compared, 0, "the question has nothing to point at");
        // The same with another label before each ending: 64 owners of 127 labels, then names that share no ending.
        let mut all = vec![wire];
        for n in 0..64 {
            let mut labels = equal.clone();
            labels[n] = b"b";
            all.push(of_labels(&labels));
        }
        let (_, names) = written(&all);
        assert!(names.compared <= 2 * all.len(), "{}", names.compared);
    }
}
