//! What operators said: acknowledged, in force after a restart, ended in time.
//!
//! In: commands with their answers, views. Out: the first broken promise. Never here: automatic moves.

use super::*;

impl Promises {
    pub(super) fn done(&mut self, world: &World, asked: &Asked, volatile: bool) {
        let durable = !volatile;
        self.disturb_all(world.elapsed());
        match &asked.command {
            Command::SetOverride {
                key,
                pool,
                never,
                lifetime,
                ..
            } => {
                // The end is counted from when the command was planned, so it is taken from the engine.
                let view = world.engine.as_ref().map(|engine| engine.view(world.now()));
                let set = view
                    .and_then(|view| view.overrides.into_iter().find(|o| o.key == *key))
                    .or_else(|| world.disk.overrides.get(key).cloned());
                let until = set
                    .and_then(|value| value.until)
                    .map(|until| until.as_millis());
                let until = until.filter(|_| *lifetime != Lifetime::Forever);
                let will = Will {
                    pool: pool.clone(),
                    never: *never,
                    until,
                };
                self.known.insert(
                    key.clone(),
                    Known {
                        will: Some(will),
                        durable,
                    },
                );
            }
            Command::EndOverride { key } => {
                self.known.insert(
                    key.clone(),
                    Known {
                        will: None,
                        durable,
                    },
                );
                if let OverrideKey::FreezeRoute { route } = key {
                    self.switches.remove(route);
                }
            }
            Command::Failover { route, to } => {
                match to.as_ref().or_else(|| self.actives.get(route)) {
                    Some(chosen) => self
                        .homes
                        .insert(route.clone(), (Some(chosen.clone()), durable)),
                    // Nobody sees where it points yet.
                    None => self.homes.remove(route),
                };
            }
            Command::Failback { route } => {
                self.homes.insert(route.clone(), (None, durable));
            }
            Command::AcceptState => self.doubt = false,
            Command::Reload { .. } | Command::Challenges { .. } | Command::Keys { .. } => {}
        }
    }

    pub(super) fn put_in_doubt(&mut self, command: &Command) {
        match command {
            Command::SetOverride { key, .. } | Command::EndOverride { key } => {
                self.known
                    .entry(key.clone())
                    .or_insert(Known {
                        will: None,
                        durable: false,
                    })
                    .durable = false;
                if let OverrideKey::FreezeRoute { route } = key {
                    self.switches.remove(route);
                }
            }
            Command::Failover { route, .. } | Command::Failback { route } => {
                self.homes.remove(route);
            }
            // Decisions under it may be on the disk: an address that it brought stays until another has proven itself.
            Command::Reload { configuration, .. } => self.learn_owners(configuration),
            // What the disk says counts at the next start.
            Command::AcceptState | Command::Challenges { .. } | Command::Keys { .. } => {}
        }
    }

    /// Overrides whose time is over end at the engine's next event.
    pub(super) fn expire(&mut self, world: &World) {
        let wall = world.wall().as_millis();
        let now = world.elapsed();
        let mut ended = false;
        for known in self.known.values_mut() {
            if known
                .will
                .as_ref()
                .is_some_and(|will| will.until.is_some_and(|until| until <= wall))
            {
                known.will = None;
                // It is removed from the disk when the journal comes to it.
                known.durable = false;
                ended = true;
            }
        }
        if ended {
            self.disturb_all(now);
        }
    }

    /// §9.5 and §9.6: what was acknowledged is in force and on the disk; a pin wins.
    pub(super) fn check_wills(&mut self, world: &World, view: &View) -> Result<(), Broken> {
        for (key, known) in &mut self.known {
            let in_force = view.overrides.iter().find(|value| value.key == *key);
            let in_force = in_force.map(|value| Will {
                pool: value.pool.clone(),
                never: value.never,
                until: value.until.map(|until| until.as_millis()),
            });
            let stored = world.disk.overrides.get(key).map(|value| Will {
                pool: value.pool.clone(),
                never: value.never,
                until: value.until.map(|until| until.as_millis()),
            });
            if known.durable {
                promise!(
                    known.will == in_force,
                    "§9.6: {key}: acknowledged {:?}, in force {in_force:?}",
                    known.will
                );
                promise!(
                    known.will == stored
                        || self.asked.values().any(|asked| names(&asked.command, key)),
                    "§9.6: {key}: acknowledged {:?}, on the disk {stored:?}",
                    known.will
                );
            }
            known.will = in_force;
        }
        for value in &view.overrides {
            let will = Will {
                pool: value.pool.clone(),
                never: value.never,
                until: value.until.map(|until| until.as_millis()),
            };
            self.known.entry(value.key.clone()).or_insert(Known {
                will: Some(will),
                durable: false,
            });
            let OverrideKey::Pin { route } = &value.key else {
                continue;
            };
            let Some(configured) = self.in_force.topology.routes.get(route) else {
                continue;
            };
            let Some(pool) = value.pool.as_ref().filter(|pool| configured.uses(pool)) else {
                continue;
            };
            promise!(
                self.actives.get(route) == Some(pool)
                    || self.waits(route)
                    || self.waits_for_a_serial(world.elapsed()),
                "§9.5: route {route} is pinned to {pool}, partners see {:?}",
                self.actives.get(route)
            );
            let seen = view.routes.iter().find(|r| r.name == *route);
            let verdict = seen
                .and_then(|r| r.pools.iter().find(|p| p.pool == *pool))
                .map(|p| p.health.verdict);
            promise!(
                verdict != Some(Verdict::Down)
                    || view.alarms.iter().any(|alarm| {
                        alarm.kind.as_str() == "pin-on-down-pool" && alarm.subject == route.as_str()
                    }),
                "§9.5: route {route} is pinned to {pool}, which is down, without an alarm"
            );
        }
        for (route, (home, durable)) in &mut self.homes {
            let Some(seen) = view.routes.iter().find(|r| r.name == *route) else {
                continue;
            };
            let configured = &self.in_force.topology.routes[route];
            let expected = home.clone().filter(|home| configured.uses(home));
            if *durable {
                promise!(
                    seen.home == expected,
                    "§9.6: route {route}: home was set to {expected:?} and is {:?}",
                    seen.home
                );
            } else if seen.home.is_some() || home.as_ref().is_none_or(|home| configured.uses(home))
            {
                home.clone_from(&seen.home);
            }
        }
        Ok(())
    }
}

pub(super) fn names(command: &Command, wanted: &OverrideKey) -> bool {
    match command {
        Command::SetOverride { key, .. } | Command::EndOverride { key } => key == wanted,
        _ => false,
    }
}
