//! The live board of the demo.
//!
//! In: what partners see, what the server thinks, how far the story has come. Out: one screen of text.
//! Never here: terminal input.

use std::fmt::Write as _;
use std::time::Duration;

use super::pool::Behaviour;
use super::question::Seen;
use super::story::{FEDERATION, OWNER, Step};
use crate::engine::View;

/// What one drawing of the board shows.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    /// How the built-in pools behave, with name and address.
    pub(super) pools: &'a [(&'static str, String, Behaviour)],
    /// What the server thinks of them.
    pub(super) view: Option<&'a View>,
    /// What partners see; none when the server did not answer.
    pub(super) seen: Option<&'a Seen>,
    /// The story so far.
    pub(super) steps: &'a [Step],
    /// Lines to try in another terminal.
    pub(super) hints: &'a [String],
    /// Since the start.
    pub(super) elapsed: Duration,
}

/// Draws the board as text without any control characters.
pub(super) fn draw(scene: &Scene<'_>) -> String {
    let mut text = String::new();
    let seconds = scene.elapsed.as_secs_f32();
    let _ = writeln!(
        text,
        "repoint demo: one federation identity, two pools {seconds:>31.1} s\n"
    );
    draw_pools(&mut text, scene);
    draw_answers(&mut text, scene);
    draw_story(&mut text, scene.steps);
    let _ = writeln!(text, "\n  try it in another terminal:");
    for hint in scene.hints {
        let _ = writeln!(text, "    {hint}");
    }
    let _ = writeln!(text, "\n  Ctrl-C ends the demo");
    text
}

fn draw_pools(text: &mut String, scene: &Scene<'_>) {
    let _ = writeln!(
        text,
        "  {:<7} {:<16} {:<9} {:<9} cause",
        "pool", "address", "behaves", "verdict"
    );
    for (name, address, behaviour) in scene.pools {
        let behaves = match behaviour {
            Behaviour::Healthy => "well",
            Behaviour::Hung => "hung",
            Behaviour::Closed => "closed",
        };
        let pools = scene
            .view
            .into_iter()
            .flat_map(|view| &view.routes)
            .flat_map(|r| &r.pools);
        let known = pools.into_iter().find(|pool| pool.pool.as_str() == *name);
        let verdict = known.map_or("unknown", |pool| pool.health.verdict.as_str());
        let cause = known.and_then(|pool| pool.health.evidence.first());
        let cause = cause.map_or("", |evidence| evidence.cause.as_str());
        let _ = writeln!(
            text,
            "  {name:<7} {address:<16} {behaves:<9} {verdict:<9} {cause}"
        );
    }
}

fn draw_answers(text: &mut String, scene: &Scene<'_>) {
    let serial = scene
        .view
        .and_then(|view| view.zones.first())
        .and_then(|zone| zone.serial);
    let serial = serial
        .map(|serial| format!("serial {serial}"))
        .unwrap_or_default();
    let _ = writeln!(text, "\n  what partners are told {serial:>55}");
    let Some(seen) = scene.seen else {
        let _ = writeln!(text, "    no answer");
        return;
    };
    for (priority, target) in &seen.srv {
        let _ = writeln!(text, "    {OWNER}  SRV  {priority} 0 5269 {target}");
    }
    for address in &seen.addresses {
        let _ = writeln!(text, "    {FEDERATION:<34}  A    {address}");
    }
}

fn draw_story(text: &mut String, steps: &[Step]) {
    let _ = writeln!(text, "\n  story");
    for step in steps {
        let (mark, took) = match step.took {
            Some(took) => ("seen", format!("{:.1} s", took.as_secs_f32())),
            None => (" …  ", String::new()),
        };
        let _ = writeln!(text, "    {mark}  {:<62} {took:>6}", step.text);
    }
}
