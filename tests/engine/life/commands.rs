//! What operators ask for, sensible or not.
//!
//! In: dice. Out: commands to the engine, each known to the promises. Never here: what has to come of them.

use super::*;

impl Life {
    pub(super) fn reload(&mut self) {
        for _ in 0..self.dice.random_range(1..3) {
            words::mutate(&mut self.words, &mut self.dice);
        }
        let Ok(configuration) = setup::configuration(&self.words) else {
            return;
        };
        self.world.configuration = configuration.clone();
        let command = Command::Reload {
            configuration,
            allow_removal: self.dice.random_bool(0.5),
        };
        self.ask(command);
    }

    pub(super) fn command(&mut self) {
        if self.world.disk.doubt.is_some() && self.dice.random_bool(0.3) {
            return self.ask(Command::AcceptState);
        }
        if self.dice.random_bool(0.3) {
            return self.change_keys();
        }
        let topology = self.promises.in_force.topology.clone();
        let routes: Vec<RouteName> = topology.routes.keys().cloned().collect();
        let pools: Vec<PoolName> = topology.pools.keys().cloned().collect();
        let route = routes.choose(&mut self.dice).unwrap().clone();
        let pool = pools.choose(&mut self.dice).unwrap().clone();
        let target = topology.pools[&pool]
            .targets
            .choose(&mut self.dice)
            .unwrap()
            .name
            .clone();
        let key = match self.dice.random_range(0..10) {
            0..3 => OverrideKey::Pin {
                route: route.clone(),
            },
            3..6 => OverrideKey::DrainPool { pool: pool.clone() },
            6..8 => OverrideKey::DrainTarget {
                pool: pool.clone(),
                target,
            },
            8 => OverrideKey::FreezeRoute {
                route: route.clone(),
            },
            _ => OverrideKey::FreezeAll,
        };
        let command = match self.dice.random_range(0..12) {
            0..4 => Command::SetOverride {
                pool: matches!(key, OverrideKey::Pin { .. }).then(|| pool.clone()),
                never: matches!(key, OverrideKey::DrainPool { .. }) && self.dice.random_bool(0.3),
                key,
                lifetime: match self.dice.random_range(0..10) {
                    0 => Lifetime::Forever,
                    1..4 => Lifetime::For(Duration::from_secs(self.dice.random_range(1..60))),
                    _ => Lifetime::For(Duration::from_secs(self.dice.random_range(60..3600))),
                },
                force: self.dice.random_bool(0.5),
            },
            4..8 => {
                let engine = self.world.engine.as_ref().unwrap();
                let set = engine.view(self.world.now()).overrides;
                let key = set
                    .choose(&mut self.dice)
                    .map_or(key, |value| value.key.clone());
                Command::EndOverride { key }
            }
            8 => Command::EndOverride {
                key: OverrideKey::FreezeRoute { route },
            },
            9 => Command::Failback { route },
            10 if self.dice.random_bool(0.3) => Command::AcceptState,
            _ => Command::Failover {
                route,
                to: self.dice.random_bool(0.5).then_some(pool),
            },
        };
        self.ask(command);
    }

    pub(super) fn ask(&mut self, command: Command) {
        self.ask_once(command.clone());
        // An operator who is refused, or two of them, ask again before the first is answered.
        if self.dice.random_bool(0.1) {
            self.ask_once(command.clone());
        }
        if let (Command::SetOverride { key, .. }, true) = (command, self.dice.random_bool(0.1)) {
            self.ask_once(Command::EndOverride { key });
        }
    }

    fn ask_once(&mut self, command: Command) {
        let (dry_run, volatile) = (self.dice.random_bool(0.05), self.dice.random_bool(0.15));
        if self.trace {
            self.say(&format!(
                "asks: {} (dry run {dry_run}, volatile {volatile})",
                command.describe()
            ));
        }
        let why = self.dice.random_bool(0.5).then_some("because");
        let id = self
            .world
            .request(command.clone(), "alice", why, dry_run, volatile);
        self.promises.asks(id, command, dry_run, &self.world);
    }
}
