//! What befalls a machine and its network: pools that fail, cuts, kills, clocks that are set, disks that die.
//!
//! In: dice. Out: another world. Never here: what has to come of it.

use super::*;
use crate::network::Behaviour;
use crate::world::StoreMood;

impl Life {
    pub(super) fn change_network(&mut self) {
        use Behaviour as B;
        const SOME: [Behaviour; 22] = [
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Ok,
            B::Refused,
            B::Refused,
            B::Silent,
            B::Silent,
            B::Dropped,
            B::Closed,
            B::HostUnknown,
            B::TlsGarbage,
            B::LegacyTls,
            B::Slow,
            B::LocalFailure,
            B::WrongName,
            B::Unreachable,
            B::OneIn(3),
        ];
        let behaviour = *SOME.choose(&mut self.dice).unwrap();
        let topology = &self.promises.in_force.topology;
        let pools: Vec<_> = topology.pools.values().collect();
        let pool = *pools.choose(&mut self.dice).unwrap();
        let mut addresses: Vec<_> = pool
            .targets
            .iter()
            .flat_map(|t| t.addresses.iter().map(|a| a.probe))
            .collect();
        let mut service = None;
        if self.dice.random_bool(0.3) {
            addresses = vec![*addresses.choose(&mut self.dice).unwrap()];
        }
        if self.dice.random_bool(0.2) {
            let routes: Vec<_> = topology.routes.values().collect();
            let route = routes.choose(&mut self.dice).unwrap();
            service = route
                .services
                .choose(&mut self.dice)
                .map(|service| service.kind);
        }
        if self.trace {
            self.say(&format!(
                "{} {addresses:?} {service:?} is {behaviour:?}",
                pool.name
            ));
        }
        for address in addresses {
            self.world.network.set(address, service, behaviour);
        }
        self.note_truth();
    }

    pub(super) fn change_uplink(&mut self) {
        let network = &mut self.world.network;
        match self.dice.random_range(0..3) {
            0 => network.cut = !network.cut,
            1 => network.canaries_silent = !network.canaries_silent,
            _ => (network.cut, network.canaries_silent) = (false, false),
        }
        if self.trace {
            let network = &self.world.network;
            self.say(&format!(
                "uplink cut {}, canaries silent {}",
                network.cut, network.canaries_silent
            ));
        }
        self.note_truth();
    }

    pub(super) fn crash(&mut self) -> Result<(), String> {
        if self.dice.random_bool(0.1) {
            self.world.disk.doubt = Some("the state was restored from a backup".into());
        }
        if self.dice.random_bool(0.5) {
            // Most of what can be lost is lost between a publication and the disk.
            let publishing = self.dice.random_bool(0.7);
            let most = if publishing { 4 } else { 12 };
            let effects = Some(self.dice.random_range(0..most));
            if self.trace {
                let after = if publishing {
                    " of the next publication"
                } else {
                    ""
                };
                self.say(&format!("to be killed after {effects:?} effects{after}"));
            }
            match publishing {
                true => self.world.kill_after_publishing = effects,
                false => self.world.kill_after = effects,
            }
            return Ok(());
        }
        if self.dice.random_bool(0.3) {
            let happened = self.world.stop();
            if self.trace {
                self.say("stop");
            }
            self.check(&happened)?;
        } else {
            if self.trace {
                self.say("kill");
            }
            self.world.kill();
            self.lived.kills += 1;
        }
        self.promises.process_ends(&self.world);
        if self.dice.random_bool(0.05) {
            // Nobody notices for days.
            let hours = self.dice.random_range(1..96);
            self.pass(Duration::from_secs(hours * 3600), 1)?;
        }
        Ok(())
    }

    pub(super) fn step_clock(&mut self) {
        let seconds = self.dice.random_range(-6 * 3600..6 * 3600_i64);
        if self.trace {
            self.say(&format!("the clock is set by {seconds} s"));
        }
        self.world.wall_off += seconds * 1000;
        self.promises.clock_stepped(seconds, &self.world);
    }

    pub(super) fn change_store(&mut self) {
        let mood = match self.dice.random_range(0..10) {
            0..5 => StoreMood::Well,
            5 => StoreMood::Slow(Duration::from_millis(self.dice.random_range(1..190))),
            6 => StoreMood::Slow(Duration::from_millis(self.dice.random_range(190..3000))),
            7 => StoreMood::Failing,
            8 => StoreMood::Hung,
            _ => StoreMood::Dead,
        };
        if self.trace {
            self.say(&format!("store {mood:?}"));
        }
        self.world.store(mood);
    }
}
