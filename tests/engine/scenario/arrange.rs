//! What a story has the world do: time passes, machines and networks break, primaries speak.
//!
//! In: the words of a command. Out: a changed world, and what came of it, told. Never here: what an operator types.

use std::sync::Arc;
use std::time::Duration;

use repoint::clock::Wall;
use repoint::engine::{
    Claim, Event, InboundNews, InboundOutcome, Rejection, RejectionKind, Standing,
};
use repoint::topology::DomainName;
use repoint::zone::{Cancellation, Include, Serial, StaticZone};

use super::Story;
use crate::network::{Behaviour, Validity};
use crate::setup::{self, Words};
use crate::world::{StoreMood, World};

/// The seed of probe times in stories.
const SEED: u64 = 7;

impl Story {
    /// What the world does.
    pub(super) fn arrange(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["config", "reload", ..] => return None,
            ["config", "broken"] => {
                let problems = "error: unknown key \"falback\" in [[route]]".to_owned();
                self.world().event(Event::ConfigurationRejected(Rejection {
                    problems,
                    kind: RejectionKind::Faulty,
                }));
                self.wait(Duration::ZERO);
            }
            ["config", rest @ ..] => {
                let merge = rest.first() == Some(&"+");
                let words = Words::parse(rest[usize::from(merge)..].iter().copied()).unwrap();
                if merge {
                    self.words.0.extend(words.0);
                } else {
                    self.words = words;
                }
                let configuration = setup::configuration(&self.words).unwrap();
                match &mut self.world {
                    // A new file; what runs has not read it.
                    Some(world) => world.configuration = configuration,
                    None => self.world = Some(World::new(configuration, SEED)),
                }
            }
            ["start"] => {
                let happened = self.world().start();
                self.tell(happened);
                self.wait(Duration::from_millis(10));
            }
            ["kill"] => self.world().kill(),
            ["kill", "after", number, "effects"] => {
                self.world().kill_after = Some(number.parse().unwrap());
            }
            ["stop"] => {
                let happened = self.world().stop();
                self.tell(happened);
            }
            ["restart"] => {
                self.command("stop");
                self.command("start");
            }
            ["wait", time] => self.wait(humantime::parse_duration(time).unwrap()),
            ["uplink", how] => self.world().network.cut = *how == "cut",
            ["canaries", how] => self.world().network.canaries_silent = *how == "silent",
            ["store", how @ ..] => {
                let mood = match how {
                    ["well"] => StoreMood::Well,
                    ["slow", time] => StoreMood::Slow(humantime::parse_duration(time).unwrap()),
                    ["failing"] => StoreMood::Failing,
                    ["hung"] => StoreMood::Hung,
                    ["dead"] => StoreMood::Dead,
                    _ => return None,
                };
                self.world().store(mood);
            }
            ["clock", step] => {
                let (sign, time) = step.split_at(1);
                let millis =
                    i64::try_from(humantime::parse_duration(time).unwrap().as_millis()).unwrap();
                self.world().wall_off += if sign == "-" { -millis } else { millis };
            }
            [who @ ("secondary" | "nameserver"), "ahead", by] => {
                let ours = self.world().zones.iter().next()?.clone();
                let by: u32 = by.parse().ok()?;
                let (server, standing) = match *who {
                    "secondary" => (
                        "secondary ns2 (198.51.100.53:53)",
                        Standing::SignedSecondary,
                    ),
                    _ => (
                        "nameserver ns3.example.net (203.0.113.53)",
                        Standing::Nameserver,
                    ),
                };
                self.world().event(Event::SerialAhead(Box::new(Claim {
                    server: server.to_owned(),
                    standing,
                    addresses: ["198.51.100.53".parse().unwrap()].into(),
                    apex: ours.apex().clone(),
                    serial: Serial(ours.serial().0.wrapping_add(by)),
                })));
                self.ahead = Some(Serial(ours.serial().0.wrapping_add(by)));
                self.wait(Duration::ZERO);
            }
            ["serials", "are", "behind", "it"] => {
                let ahead = self.ahead?;
                let zones = self.world().zones.clone();
                for zone in zones.iter() {
                    assert!(
                        zone.serial().is_after(ahead),
                        "{zone:?} is not after {ahead}"
                    );
                }
            }
            ["state", "restored"] => {
                self.world().disk.doubt = Some("the state was restored from a backup".into());
            }
            ["state", "lost"] => {
                self.world().disk = crate::disk::Disk {
                    doubt: Some("the state was lost".into()),
                    ..crate::disk::Disk::default()
                };
                self.entries_told = 0;
            }
            ["primary", apex, how @ ..] => self.primary(apex, how)?,
            ["zone", apex] => self.zone(apex),
            ["status"] => self.status(),
            ["remedies"] => self.remedies(),
            ["outlook"] => self.outlook(),
            ["acme", "list"] => self.challenges(),
            ["served"] => self.served(),
            ["history"] => self.history(),
            [place, "certificate", left, "of", lifetime] => {
                let time = |text: &str| {
                    i64::try_from(humantime::parse_duration(text).unwrap().as_millis()).unwrap()
                };
                let wall = self.world().wall().as_millis();
                let to = wall + time(left);
                let validity = Validity {
                    from: Wall::from_millis(to - time(lifetime)),
                    to: Wall::from_millis(to),
                };
                for address in self.addresses(place)? {
                    self.world().network.certificates.insert(address, validity);
                }
            }
            [place, behaviour] => {
                let behaviour = Behaviour::parse(behaviour)?;
                for address in self.addresses(place)? {
                    self.world().network.set(address, None, behaviour);
                }
            }
            [place, service, behaviour] => {
                let (service, behaviour) = (service.parse().ok()?, Behaviour::parse(behaviour)?);
                for address in self.addresses(place)? {
                    self.world().network.set(address, Some(service), behaviour);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// What the primary of a zone is heard to say, or not.
    fn primary(&mut self, apex: &str, how: &[&str]) -> Option<()> {
        let apex: DomainName = apex.parse().ok()?;
        let outcome = match how {
            ["silent"] => InboundOutcome::Failed("192.0.2.1:53 did not answer within 10s".into()),
            ["current"] => InboundOutcome::Current,
            ["garbled"] => InboundOutcome::Unusable("it ended before its last SOA".into()),
            ["sends", serial, records @ ..] => {
                let mut text = format!(
                    "$TTL 300\n@ SOA ns1.example.net. hostmaster {serial} 60 30 600 30\n@ NS ns1.example.net.\n"
                );
                for record in records {
                    text.push_str(&format!("{record}\n"));
                }
                let mut none = |_: Include<'_>| Err("there is no such file".to_owned());
                let file = StaticZone::parse(&apex, "primary", text.as_bytes(), &mut none).unwrap();
                let records = file.owned_records();
                let zone = StaticZone::received(
                    &apex,
                    "the zone from 192.0.2.1:53",
                    records,
                    &Cancellation::default(),
                );
                InboundOutcome::Received(Arc::new(zone.unwrap()))
            }
            _ => return None,
        };
        let news = InboundNews {
            apex,
            from: "192.0.2.1:53".parse().unwrap(),
            outcome,
        };
        self.world().event(Event::Inbound(Box::new(news)));
        self.wait(Duration::from_millis(10));
        Some(())
    }

    fn addresses(&mut self, place: &str) -> Option<Vec<std::net::IpAddr>> {
        let found = setup::addresses(&self.world().configuration, place);
        (!found.is_empty()).then_some(found)
    }
}
