//! Questions to the resolver without pause, and what was wrong with the answers.
//!
//! In: nothing but time. Out: whether each kind of answer is secure now; on [`Asker::end`] a failure for every answer that
//! was bogus, lost, or without the AD bit that was demanded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::base::iana::{Rcode, Rtype};

use crate::world::client::Client;
use crate::world::private_network::RESOLVER;
use crate::world::wait::wait_for;
use crate::{PATIENCE, ZONE};

const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Faults count.
    minding: AtomicBool,
    /// An answer without AD is a fault.
    demanding: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    asked: usize,
    faults: Vec<String>,
    /// What each question was answered with since somebody waits for it: whether with AD.
    last: Vec<(String, Option<bool>)>,
}

/// Asks in the background.
#[derive(Debug)]
pub(crate) struct Asker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Asker {
    pub(crate) fn start() -> Asker {
        let shared = Arc::new(Shared::default());
        shared.minding.store(true, Ordering::SeqCst);
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || ask_on(&theirs));
        Asker {
            shared,
            thread: Some(thread),
        }
    }

    /// Waits until every question is answered with the AD bit, or without, by an answer that is asked for from now on.
    pub(crate) fn until_each(&self, secure: bool) {
        self.shared.seen.lock().unwrap().last.clear();
        let what = format!("every answer is secure: {secure}");
        wait_for(&what, PATIENCE, || {
            let seen = self.shared.seen.lock().unwrap();
            let each = seen.last.iter().all(|(_, ad)| *ad == Some(secure));
            (seen.last.len() == questions().len() && each).then_some(())
        });
    }

    /// Waits until questions have been asked and answered for so long.
    pub(crate) fn ask_for(&self, long: Duration) {
        let begun = Instant::now();
        let asked = || self.shared.seen.lock().unwrap().asked;
        let before = asked();
        wait_for("questions are asked", PATIENCE, || {
            (begun.elapsed() >= long && asked() >= before + questions().len()).then_some(())
        });
    }

    /// From now on an answer without the AD bit is a fault, or is none.
    pub(crate) fn demand_ad(&self, demanded: bool) {
        self.shared.demanding.store(demanded, Ordering::SeqCst);
    }

    /// Answers may be as they like for a while.
    pub(crate) fn pause(&self) {
        self.shared.minding.store(false, Ordering::SeqCst);
    }

    pub(crate) fn go_on(&self) {
        self.shared.minding.store(true, Ordering::SeqCst);
    }

    /// Ends the questions.
    ///
    /// # Panics
    /// When an answer was wrong.
    pub(crate) fn end(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        let seen = self.shared.seen.lock().unwrap();
        println!("{} answers, {} wrong", seen.asked, seen.faults.len());
        assert!(seen.faults.is_empty(), "{}", seen.faults.join("\n"));
        assert!(seen.asked > 0);
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if std::thread::panicking()
            && let Ok(seen) = self.shared.seen.lock()
        {
            eprintln!("wrong answers:\n{}", seen.faults.join("\n"));
        }
    }
}

/// A steered service, a steered address, a name that is not there, a type that is not there, and the keys.
fn questions() -> [(String, Rtype); 5] {
    [
        (format!("_xmpp-server._tcp.{ZONE}"), Rtype::SRV),
        (format!("xmpp.{ZONE}"), Rtype::A),
        (format!("absent.{ZONE}"), Rtype::A),
        (format!("_tcp.{ZONE}"), Rtype::TXT),
        (ZONE.to_owned(), Rtype::DNSKEY),
    ]
}

fn ask_on(shared: &Shared) {
    let began = Instant::now();
    let resolver = Client::new((RESOLVER, 53));
    let questions = questions();
    for (name, rtype) in questions.iter().cycle() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        // Read before the question: a demand counts for what is asked after it.
        let minding = shared.minding.load(Ordering::SeqCst);
        let demanding = shared.demanding.load(Ordering::SeqCst);
        let answer = ask(&resolver, name, *rtype);
        let secure = answer.as_ref().ok().copied();
        let fault = match answer {
            Err(why) => Some(why),
            Ok(false) if demanding => Some("no AD bit".to_owned()),
            Ok(_) => None,
        };
        let mut seen = shared.seen.lock().unwrap();
        seen.asked += 1;
        if let Some(why) = fault.filter(|_| minding) {
            let at = began.elapsed();
            seen.faults.push(format!("{at:.1?}: {name} {rtype}: {why}"));
        }
        let which = format!("{name} {rtype}");
        seen.last.retain(|(question, _)| *question != which);
        seen.last.push((which, secure));
        drop(seen);
        std::thread::sleep(PAUSE);
    }
}

/// Whether an answer has the AD bit; or why it is none.
fn ask(resolver: &Client, name: &str, rtype: Rtype) -> Result<bool, String> {
    let reply = resolver.ask(name, rtype).ok_or("no answer")?;
    match reply.header().rcode() {
        Rcode::NOERROR | Rcode::NXDOMAIN => Ok(reply.header().ad()),
        other => Err(other.to_string()),
    }
}
