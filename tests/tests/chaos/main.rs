//! Chaos: processes of the program under clients, purges and faults. Nothing is answered that a receipt says cannot be.
//!
//! `SEAWALL_CHAOS_PURGES`, `SEAWALL_CHAOS_PURGERS` (how many purge at the same time) and `SEED` make another run of it,
//! `SEAWALL_BIN` names the program, and `SEAWALL_CHAOS_KEEP` a directory that what the fleet had and logged is left in.
#![allow(clippy::print_stdout, reason = "a run tells its figures")]

mod faults;
mod fleet;
mod patience;
mod program;
mod purgers;
mod random;
mod readers;
mod relay;
mod run;
mod site;

use fleet::Fleet;
use run::Run;
use site::Site;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

const SEED: u64 = 20_261_125;
const PURGES: usize = 300;
/// A run of the usual length takes less.
const HIT_RATIO_MIN: f64 = 0.8;

fn setting(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is no number"))
    })
}

#[test]
fn no_receipt_is_broken_whatever_befalls_the_fleet() {
    let (seed, purges) = (
        setting("SEED", SEED),
        setting("SEAWALL_CHAOS_PURGES", PURGES as u64) as usize,
    );
    println!("seed {seed}");
    let site = Site::new();
    let origin = site.origin();
    let mut fleet = Fleet::start(origin.address());
    let purgers = setting("SEAWALL_CHAOS_PURGERS", purgers::PURGERS as u64) as usize;
    let run = Run::new(
        (seed, purges, purgers),
        site,
        fleet.edges,
        fleet.admin.clone(),
    );
    thread::scope(|scope| {
        let run = &run;
        let _ends = run::Ends(run);
        for reader in 0..readers::READERS {
            scope.spawn(move || readers::read(run, reader));
        }
        let purgers: Vec<_> = (0..run.purgers)
            .map(|purger| scope.spawn(move || purgers::purge(run, purger)))
            .collect();
        let fleet = &mut fleet;
        let faults = scope.spawn(move || faults::befall(run, fleet));
        let tidy = scope.spawn(|| {
            let mut told = 0;
            while !run.is_over() {
                run.tell(&mut told);
                // a long run's requests would fill the memory
                origin.forget();
                thread::sleep(Duration::from_millis(100));
            }
        });
        let open: Vec<_> = purgers
            .into_iter()
            .flat_map(|purger| purger.join().unwrap())
            .collect();
        faults.join().unwrap();
        for purge in open {
            purge.ends(run);
        }
        run.over.store(true, Ordering::SeqCst);
        tidy.join().unwrap();
    });
    println!("{}", run.figures());
    fleet.lives();
    fleet.has_not_panicked();
    assert_eq!(run.violations.load(Ordering::SeqCst), 0);
    // else it has shown nothing of fences
    assert!(run.fenced() > 0 || fleet.lease.is_none());
    assert!(run.hit_ratio() > HIT_RATIO_MIN, "{}", run.hit_ratio());
}
