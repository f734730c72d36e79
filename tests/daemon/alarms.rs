//! The alarm command of the real program: what it leaves running, and what it is told after a restart.

use serde_json::{Value, json};

use crate::server::{PATIENCE, Place, Pools, Server, configuration, names};

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
fn the_end_of_an_alarm_is_told_after_a_restart() {
    let place = place("echo \"$REPOINT_ALARM_KIND $REPOINT_ALARM_STATE\" >> told");
    let mut server = place.start();
    pin_for_ever(&server);
    written(&server, &place, "told", "override-without-end raised");
    server.kill_9();
    let server = place.start();
    let unpinned = server.control("DELETE", "/v1/routes/route1/pin", &Value::Null);
    assert_eq!(unpinned.0, 200, "{unpinned:?}");
    let told = written(&server, &place, "told", "override-without-end ended");
    let raised = told.matches("override-without-end raised").count();
    assert_eq!(raised, 1, "{told}");
}
