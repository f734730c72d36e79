//! What an operator types in a story.
//!
//! In: the words of a command, as the command line has them. Out: the request, and what was replied, told. Never here:
//! what the world does by itself.

use std::time::Duration;

use repoint::decide::OverrideKey;
use repoint::engine::{ChallengeChange, Command, Lifetime, RequestId};

use super::Story;
use crate::world::Happened;

impl Story {
    /// What an operator types.
    pub(super) fn operate(&mut self, words: &[&str]) -> Option<()> {
        let mut nouns = Vec::new();
        let (mut lifetime, mut why, mut to) = (Lifetime::Forever, None, None);
        let (mut never, mut force, mut volatile, mut dry_run, mut allow_removal) =
            (false, false, false, false, false);
        let mut words_left = words.iter().copied();
        while let Some(word) = words_left.next() {
            match word {
                "--for" => match words_left.next()? {
                    "forever" => lifetime = Lifetime::Forever,
                    time => lifetime = Lifetime::For(humantime::parse_duration(time).ok()?),
                },
                "--reason" => why = Some(words_left.next()?),
                "--to" => to = Some(words_left.next()?.parse().ok()?),
                "--never" => never = true,
                "--force" => force = true,
                "--volatile" => volatile = true,
                "--dry-run" => dry_run = true,
                "--allow-removal" => allow_removal = true,
                word if word.starts_with("--") => return None,
                word => nouns.push(word),
            }
        }
        let set = |key, pool| Command::SetOverride {
            key,
            pool,
            never,
            lifetime,
            force,
        };
        let end = |key| Command::EndOverride { key };
        let pool_of = |target: &str| {
            let configuration = &self.world.as_ref().unwrap().configuration;
            let mut pools = configuration.topology.pools.values();
            pools
                .find(|pool| pool.targets.iter().any(|t| t.name.as_str() == target))
                .map(|p| p.name.clone())
        };
        let command = match nouns.as_slice() {
            ["pin", route, pool] => set(
                OverrideKey::Pin {
                    route: route.parse().ok()?,
                },
                Some(pool.parse().ok()?),
            ),
            ["unpin", route] => end(OverrideKey::Pin {
                route: route.parse().ok()?,
            }),
            ["pool", "drain", pool] => set(
                OverrideKey::DrainPool {
                    pool: pool.parse().ok()?,
                },
                None,
            ),
            ["pool", "undrain", pool] => end(OverrideKey::DrainPool {
                pool: pool.parse().ok()?,
            }),
            ["target", verb, target] => {
                let pool = pool_of(target)?;
                let key = OverrideKey::DrainTarget {
                    pool,
                    target: target.parse().ok()?,
                };
                if *verb == "drain" {
                    set(key, None)
                } else {
                    end(key)
                }
            }
            ["freeze"] => set(OverrideKey::FreezeAll, None),
            ["freeze", route] => set(
                OverrideKey::FreezeRoute {
                    route: route.parse().ok()?,
                },
                None,
            ),
            ["unfreeze"] => end(OverrideKey::FreezeAll),
            ["unfreeze", route] => end(OverrideKey::FreezeRoute {
                route: route.parse().ok()?,
            }),
            ["failover", route] => Command::Failover {
                route: route.parse().ok()?,
                to,
            },
            ["failback", route] => Command::Failback {
                route: route.parse().ok()?,
            },
            ["config", "reload"] => Command::Reload {
                configuration: self.world().configuration.clone(),
                allow_removal,
            },
            ["state", "accept"] => Command::AcceptState,
            ["acme", "set", name, value] => Command::Challenges {
                changes: vec![(name.parse().ok()?, ChallengeChange::Set((*value).into()))],
                lifetime: match lifetime {
                    Lifetime::For(time) => Some(time),
                    Lifetime::Forever => None,
                },
                lenient: false,
            },
            ["acme", "clear", name] => Command::Challenges {
                changes: vec![(name.parse().ok()?, ChallengeChange::ClearAll)],
                lifetime: None,
                lenient: false,
            },
            ["acme", "clear", name, value] => Command::Challenges {
                changes: vec![(name.parse().ok()?, ChallengeChange::Clear((*value).into()))],
                lifetime: None,
                lenient: false,
            },
            _ => return None,
        };
        let id = self
            .world()
            .request(command, "alice", why, dry_run, volatile);
        self.wait_for(id);
        Some(())
    }

    fn wait_for(&mut self, request: RequestId) {
        let until = self.world().elapsed() + Duration::from_secs(60);
        while let Some(happened) = self.world().step(until) {
            let answered = happened
                .iter()
                .any(|h| matches!(h, Happened::Replied(id, _) if *id == request));
            let killed = happened.iter().any(|h| matches!(h, Happened::Killed));
            self.tell(happened);
            if answered || killed {
                return;
            }
        }
        self.say("no answer within 60s");
    }
}
