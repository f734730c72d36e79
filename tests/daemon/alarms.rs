//! The alarm command of the real program: what it leaves running, and what it is told after a restart.

use serde_json::{Value, json};

use crate::server::{PATIENCE, Place, Pools, Server, configuration, names};
use crate::tool::tool;

fn place(script: &str) -> Place {
    let place = Place::new("");
    std::fs::write(place.file("alarm.sh"), script).unwrap();
    let alarm = "[alarm]\nexec = [\"/bin/sh\", \"alarm.sh\"]\ntimeout = \"2s\"\n";
    place.configure(&format!(
        "{}{alarm}",
        configuration(&Pools::new(), &names(1), 30)
    ));
    place
}

/// Raises `override-without-end`, which stands from the first moment of a start.
fn pin_for_ever(server: &Server) {
    let body = json!({ "pool": "pool2", "for": "forever", "force": true });
    let (code, reply) = server.control("PUT", "/v1/routes/route1/pin", &body);
    assert_eq!(code, 200, "{reply}");
}

fn written(server: &Server, place: &Place, name: &str, words: &str) -> String {
    let read = || std::fs::read_to_string(place.file(name)).unwrap_or_default();
    server.until(name, |_| read().contains(words));
    read()
}

#[test]
fn what_an_alarm_command_leaves_running_is_ended_wherever_it_went() {
    // In a session of its own, without a parent and without its environment.
    let place = place(
        "[ $REPOINT_ALARM_KIND = override-without-end ] || exit 0\n\
         env -i PATH=\"$PATH\" setsid sh -c 'echo $$ > left; exec sleep 1000' >/dev/null 2>&1 &\n\
         wait",
    );
    let server = place.start();
    pin_for_ever(&server);
    let pid = written(&server, &place, "left", "\n");
    let stat = format!("/proc/{}/stat", pid.trim());
    server.until("its end", |_| !std::path::Path::new(&stat).exists());
    assert!(PATIENCE.as_secs() < 1000, "it did not end by itself");
}

#[test]
fn what_ran_before_the_server_began_is_left_alone() {
    // As the entry point of a container does it: the server has a child that it did not begin.
    let place = place("echo \"$REPOINT_ALARM_KIND $REPOINT_ALARM_STATE\" >> told");
    let plain = place.command();
    let mut command = tool("/bin/sh");
    command
        .args(["-c", "sleep 1000 & echo $! > beside; exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(place.dir.path());
    for name in ["NOTIFY_SOCKET", "STATE_DIRECTORY", "JOURNAL_STREAM"] {
        command.env_remove(name);
    }
    let server = place.begin(command);
    server.logged("taking commands on");
    pin_for_ever(&server);
    written(&server, &place, "told", "override-without-end raised");
    let unpinned = server.control("DELETE", "/v1/routes/route1/pin", &Value::Null);
    assert_eq!(unpinned.0, 200, "{unpinned:?}");
    // The second run of an alarm begins after the first has been cleared away.
    written(&server, &place, "told", "override-without-end ended");
    let pid = std::fs::read_to_string(place.file("beside")).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
    assert!(stat.contains("(sleep) S"), "{stat}");
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn what_a_process_beside_the_server_leaves_behind_is_not_an_alarm_commands() {
    let place = place("echo \"$REPOINT_ALARM_KIND $REPOINT_ALARM_STATE\" >> told");
    let plain = place.command();
    let mut command = tool("/bin/sh");
    // The neighbour ends, and what it has begun becomes a child of the server.
    let neighbour =
        "(until test -e go; do sleep 0.02; done; setsid sleep 1000 & echo $! > left) & exec \"$@\"";
    command
        .args(["-c", neighbour, "sh"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(place.dir.path());
    for name in ["NOTIFY_SOCKET", "STATE_DIRECTORY", "JOURNAL_STREAM"] {
        command.env_remove(name);
    }
    let server = place.begin(command);
    server.logged("taking commands on");
    std::fs::write(place.file("go"), "").unwrap();
    let pid = written(&server, &place, "left", "\n").trim().to_owned();
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let adopted = format!(" {} ", server.pid());
    server.until("the orphan is the server's", |_| {
        stat().split_whitespace().nth(3) == Some(adopted.trim())
    });
    pin_for_ever(&server);
    written(&server, &place, "told", "override-without-end raised");
    let unpinned = server.control("DELETE", "/v1/routes/route1/pin", &Value::Null);
    assert_eq!(unpinned.0, 200, "{unpinned:?}");
    // The second run of an alarm begins after the first has been cleared away.
    written(&server, &place, "told", "override-without-end ended");
    assert!(stat().contains("(sleep) S"), "{}", stat());
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn the_end_of_an_alarm_is_told_after_a_restart() {
    let place = place("echo \"$REPOINT_ALARM_KIND $REPOINT_ALARM_STATE\" >> told");
    let mut server = place.start();
    pin_for_ever(&server);
    written(&server, &place, "told", "override-without-end raised");
    // A run that the kill cuts off is repeated: this one has ended.
    let told = || std::fs::read_to_string(place.file("state/alarms-told.json")).unwrap_or_default();
    server.until("the alarm is kept as told", |_| {
        told().contains("override-without-end") && !told().contains("is_untold")
    });
    server.kill_9();
    let server = place.start();
    let unpinned = server.control("DELETE", "/v1/routes/route1/pin", &Value::Null);
    assert_eq!(unpinned.0, 200, "{unpinned:?}");
    let told = written(&server, &place, "told", "override-without-end ended");
    let raised = told.matches("override-without-end raised").count();
    assert_eq!(raised, 1, "{told}");
}
