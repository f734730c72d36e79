//! Comparing: each message with its counterpart, part by part, and the rules that explain what differs.
//!
//! In: questions, servers. Out: the differences that no rule explains, and the rules that explain nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use repoint::serve::Transport;
use repoint::zone::Name;

use crate::asking;
use crate::corpus::Corpus;
use crate::peers::Peer;
use crate::questions::Asked;
use crate::reviewed::{RULES, Rule, Zones};
use crate::said::{self, Record, Said};
use crate::world::nameserver::Software;

/// How many unexplained differences are shown in full.
const SHOWN: usize = 12;

/// A part of a message that is compared by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Rcode,
    Opcode,
    Authoritative,
    Truncated,
    RecursionDesired,
    RecursionAvailable,
    AuthenticData,
    CheckingDisabled,
    Question,
    Opt,
    Answer,
    Authority,
    Additional,
}

/// Who says a record that the other does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

/// A difference to be explained: in a code or flag, or one record that only one of the two says.
pub(crate) struct Difference<'a> {
    corpus: &'a Corpus,
    pub(crate) asked: &'a Asked,
    pub(crate) server: Software,
    pub(crate) part: Part,
    /// Where `part` is a section.
    pub(crate) record: Option<(Side, &'a Record)>,
    pub(crate) ours: &'a Said,
    pub(crate) theirs: &'a Said,
    /// What is said without a limit of octets; the same as `ours` and `theirs` when neither was truncated.
    pub(crate) ours_whole: &'a Said,
    pub(crate) theirs_whole: &'a Said,
}

impl Difference<'_> {
    /// The record, when only we say it.
    pub(crate) fn only_ours(&self) -> Option<&Record> {
        let (side, record) = self.record?;
        (side == Side::Ours).then_some(record)
    }

    /// The record, when only they say it.
    pub(crate) fn only_theirs(&self) -> Option<&Record> {
        let (side, record) = self.record?;
        (side == Side::Theirs).then_some(record)
    }

    /// The apex of the zone that a name lies in; none when it is in no zone of the corpus.
    pub(crate) fn apex_of(&self, name: &str) -> Option<String> {
        let name = Name::from_text(name.as_bytes(), None).ok()?;
        let zone = self.corpus.zones.zone_of(name.key())?;
        Some(zone.apex().to_lowercase().to_string())
    }
}

/// A question and what repoint says to it.
pub(crate) struct Question {
    asked: Asked,
    ours: Option<Result<Said, String>>,
}

impl Question {
    pub(crate) fn new(corpus: &Corpus, asked: Asked) -> Question {
        let ours = asking::repoint(&corpus.zones, &asked.octets, asked.transport);
        Question {
            ours: ours.map(|octets| said::read(&octets)),
            asked,
        }
    }
}

/// One run: what was compared and what was found.
pub(crate) struct Comparison {
    rules: Vec<&'static Rule>,
    seed: u64,
    messages: usize,
    unexplained: Vec<String>,
    used: BTreeMap<(usize, Software), usize>,
}

impl Comparison {
    /// By the rules that are for signed zones, or for unsigned ones.
    pub(crate) fn new(signed: bool, seed: u64) -> Comparison {
        let not = if signed {
            Zones::Unsigned
        } else {
            Zones::Signed
        };
        let rules = RULES.iter().filter(|rule| rule.zones != not);
        Comparison {
            rules: rules.collect(),
            seed,
            messages: 0,
            unexplained: Vec::new(),
            used: BTreeMap::new(),
        }
    }

    /// Asks a server and repoint all questions and compares what they say.
    pub(crate) fn run(&mut self, corpus: &Corpus, peer: &Peer, questions: &[Question]) {
        let (udp, tcp): (Vec<&Question>, Vec<&Question>) = questions
            .iter()
            .partition(|question| question.asked.transport == Transport::Udp);
        let messages: Vec<&[u8]> = udp.iter().map(|q| q.asked.octets.as_slice()).collect();
        let replies = asking::udp(peer.address, &messages);
        // What either of them truncates is asked again, and compared both ways.
        let mut again: Vec<(Question, usize)> = Vec::new();
        for (at, (question, reply)) in udp.iter().zip(&replies).enumerate() {
            let ours = matches!(&question.ours, Some(Ok(said)) if said.flags.tc);
            let theirs = reply.as_ref().is_some_and(|octets| octets[2] & 2 != 0);
            if ours || theirs {
                let asked = Asked {
                    transport: Transport::Tcp,
                    ..question.asked.clone()
                };
                again.push((Question::new(corpus, asked), at));
            } else {
                self.compare(corpus, peer.software, question, reply.as_deref(), None);
            }
        }
        let streamed: Vec<&Question> = tcp
            .into_iter()
            .chain(again.iter().map(|(question, _)| question))
            .collect();
        let messages: Vec<&[u8]> = streamed.iter().map(|q| q.asked.octets.as_slice()).collect();
        let wholes = asking::tcp(peer.address, &messages);
        for (question, whole) in streamed.iter().zip(&wholes) {
            self.compare(corpus, peer.software, question, whole.as_deref(), None);
        }
        let wholes = &wholes[wholes.len() - again.len()..];
        for ((whole, at), theirs) in again.iter().zip(wholes) {
            let reply = replies[*at].as_deref();
            let whole = Some((whole, theirs.as_deref()));
            self.compare(corpus, peer.software, udp[*at], reply, whole);
        }
    }

    fn compare(
        &mut self,
        corpus: &Corpus,
        server: Software,
        question: &Question,
        theirs: Option<&[u8]>,
        whole: Option<(&Question, Option<&[u8]>)>,
    ) {
        self.messages += 1;
        let asked = &question.asked;
        let theirs = theirs.map(said::read);
        let (ours, theirs) = match (&question.ours, &theirs) {
            (None, None) => return,
            (Some(Ok(ours)), Some(Ok(theirs))) => (ours, theirs),
            (ours, theirs) => {
                let text = |said: &Option<Result<Said, String>>| match said {
                    None => "  nothing\n".to_owned(),
                    Some(Err(fault)) => format!("  unreadable: {fault}\n"),
                    Some(Ok(said)) => said.to_string(),
                };
                let (ours, theirs) = (text(ours), text(theirs));
                self.unexplained
                    .push(format!("{asked}\n repoint\n{ours} {server}\n{theirs}"));
                return;
            }
        };
        let (ours_whole, theirs_whole) = match whole {
            Some((question, octets)) => (
                question.ours.as_ref().and_then(|said| said.clone().ok()),
                octets.and_then(|octets| said::read(octets).ok()),
            ),
            None => (None, None),
        };
        let ours_whole = ours_whole.as_ref().unwrap_or(ours);
        let theirs_whole = theirs_whole.as_ref().unwrap_or(theirs);
        let mut wanting = BTreeSet::new();
        for (part, record) in differing(ours, theirs) {
            let difference = Difference {
                corpus,
                asked,
                server,
                part,
                record,
                ours,
                theirs,
                ours_whole,
                theirs_whole,
            };
            let rule = self.rules.iter().position(|rule| {
                rule.parts.contains(&part)
                    && rule.servers.contains(&server)
                    && (rule.explains)(&difference)
            });
            match rule {
                Some(rule) => *self.used.entry((rule, server)).or_default() += 1,
                None => {
                    wanting.insert(part);
                }
            }
        }
        if !wanting.is_empty() {
            self.unexplained.push(format!(
                "{asked}: {wanting:?}\n repoint\n{ours} {server}\n{theirs}"
            ));
        }
    }

    /// Fails with everything that nothing explains, and with every rule that a server did not need.
    pub(crate) fn conclude(&self) {
        let mut report = String::new();
        for (n, text) in self.unexplained.iter().take(SHOWN).enumerate() {
            writeln!(report, "\n{}. {text}", n + 1).unwrap();
        }
        for (n, rule) in self.rules.iter().enumerate() {
            for server in rule.servers {
                if !self.used.contains_key(&(n, *server)) {
                    writeln!(
                        report,
                        "\nthe rule {:?} explains nothing of {server}",
                        rule.name
                    )
                    .unwrap();
                }
            }
        }
        let explained: usize = self.used.values().sum();
        println!(
            "seed {}: {} messages compared, {explained} differences explained, {} unexplained",
            self.seed,
            self.messages,
            self.unexplained.len()
        );
        for ((rule, server), count) in &self.used {
            println!("  {count:6} {server:5} {}", self.rules[*rule].name);
        }
        assert!(
            report.is_empty(),
            "{} of {} messages differ without a reason (REPOINT_SEED={}):\n{report}",
            self.unexplained.len(),
            self.messages,
            self.seed
        );
    }
}

/// In what two messages differ. What a truncated message holds is not compared.
fn differing<'a>(ours: &'a Said, theirs: &'a Said) -> Vec<(Part, Option<(Side, &'a Record)>)> {
    let (our_flags, their_flags) = (ours.flags, theirs.flags);
    let mut found: Vec<(Part, Option<(Side, &'a Record)>)> = [
        (Part::Rcode, ours.rcode != theirs.rcode),
        (Part::Opcode, ours.opcode != theirs.opcode),
        (Part::Authoritative, our_flags.aa != their_flags.aa),
        (Part::Truncated, our_flags.tc != their_flags.tc),
        (Part::RecursionDesired, our_flags.rd != their_flags.rd),
        (Part::RecursionAvailable, our_flags.ra != their_flags.ra),
        (Part::AuthenticData, our_flags.ad != their_flags.ad),
        (Part::CheckingDisabled, our_flags.cd != their_flags.cd),
        (Part::Question, ours.question != theirs.question),
        (Part::Opt, ours.opt != theirs.opt),
    ]
    .into_iter()
    .filter_map(|(part, differs)| differs.then_some((part, None)))
    .collect();
    if our_flags.tc || their_flags.tc {
        return found;
    }
    for (part, ours, theirs) in [
        (Part::Answer, &ours.answer, &theirs.answer),
        (Part::Authority, &ours.authority, &theirs.authority),
        (Part::Additional, &ours.additional, &theirs.additional),
    ] {
        let only_ours = ours.difference(theirs).map(|record| (Side::Ours, record));
        let only_theirs = theirs.difference(ours).map(|record| (Side::Theirs, record));
        found.extend(only_ours.chain(only_theirs).map(|one| (part, Some(one))));
    }
    found
}
