//! What signed zones promise beside never being bogus (`outside`): signatures that live long enough, keys that were asked for
//! and are stored.
//!
//! In: commands with their answers, views, what is served. Out: the first broken promise. Never here: stages of keys.

use repoint::engine::KeyChange;

use super::*;

/// A machine whose clock was set, or that was off, has this long to sign anew.
const SIGNING: Duration = Duration::from_secs(60);
/// Validity that is always left while the process runs.
const LEFT: Duration = Duration::from_secs(10 * 86_400);

impl Promises {
    /// §9.6: an acknowledged key is stored and served.
    pub(super) fn check_key(
        world: &World,
        command: &Command,
        volatile: bool,
    ) -> Result<(), Broken> {
        let Command::Keys { zone, change } = command else {
            return Ok(());
        };
        let KeyChange::Begin { key, .. } = change else {
            return Ok(());
        };
        let stored = world.disk.keys.get(zone);
        promise!(
            volatile || stored.is_some_and(|row| row.key(key.tag()).is_some()),
            "§9.6: zone {zone}: key {} was acknowledged and is not on the disk",
            key.tag()
        );
        let served = world.zones.zone(zone);
        promise!(
            served.is_none_or(|version| version.is_signed()),
            "zone {zone} has a key and is not signed"
        );
        Ok(())
    }

    /// What caches may keep of a signed zone is on the disk before they can have it: the next process waits for it.
    pub(super) fn check_ttl(world: &World, version: &ZoneVersion) -> Result<(), Broken> {
        let apex = version.apex().to_domain_name().unwrap();
        let stored = world.disk.keys.get(&apex);
        let Some(row) = stored.filter(|row| !row.keys.is_empty()) else {
            return Ok(());
        };
        let known = row.longest_ttl.max(row.coming_ttl);
        let known = known.max(row.older.map_or(0, |(ttl, _)| ttl));
        promise!(
            version.longest_ttl() <= known,
            "zone {apex} has a TTL of {} s, and the disk knows of {known} s",
            version.longest_ttl()
        );
        Ok(())
    }

    /// The clock was set forward: whether the disk knows is found out later.
    pub(super) fn nobody_knows_the_time(&mut self, world: &World) {
        for apex in world.disk.keys.keys() {
            self.outside.timeless(apex, true);
        }
    }

    pub(super) fn check_trust(&mut self, world: &World, view: &View) -> Result<(), Broken> {
        let now = world.elapsed();
        if self
            .set_forward
            .is_some_and(|at| now - at > Duration::from_secs(1))
        {
            let mut all_known = true;
            for zone in &view.zone_keys {
                let stored = world.disk.keys.get(&zone.zone);
                let stored = stored.into_iter().flat_map(|row| &row.keys);
                let in_force = zone.keys.iter().map(|key| (key.tag, key.since));
                let known = in_force.eq(stored.map(|key| (key.tag(), key.since)));
                self.outside.timeless(&zone.zone, !known);
                all_known &= known;
            }
            if all_known {
                self.set_forward = None;
            }
        }
        let settled = (now - self.started).min(now - self.stepped) > SIGNING;
        let doubtful = now - self.doubted <= SIGNING;
        let waits =
            |apex: &Name| (world.zones.outlines().iter()).any(|outline| outline.apex() == apex);
        let signed = world.zones.iter().filter(|zone| !waits(zone.apex()));
        let begins = signed.filter_map(|zone| zone.latest_signature()).max();
        promise!(
            !settled || doubtful || begins.is_none_or(|(begins, _)| begins <= world.wall()),
            "a signature begins at {begins:?}, and it is {}",
            world.wall()
        );
        let end = world.zones.expiration();
        promise!(
            !settled || end.is_none_or(|end| end >= world.wall() + LEFT),
            "signatures end at {end:?}, and it is {}",
            world.wall()
        );
        Ok(())
    }
}
