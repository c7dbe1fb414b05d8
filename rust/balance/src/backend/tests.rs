use super::*;
use crate::fixtures::on_four_threads;

#[test]
fn two_backends_never_share_a_pair_of_cache_lines() {
    assert_eq!(align_of::<Live>(), 128);
    assert_eq!(size_of::<Live>(), 128);
}

#[test]
fn a_new_backend_is_up_idle_and_without_history() {
    let live = Live::new(7);
    assert_eq!(live.id(), 7);
    assert_eq!(live.health(), Health::Up);
    assert!(!live.draining());
    assert_eq!((live.in_flight(), live.failures(), live.latency_micros()), (0, 0, 0));
    assert_eq!(live.ejected_until(), None);
}

#[test]
fn health_says_whether_it_changed_and_leaves_the_drain_alone() {
    let live = Live::new(0);
    live.drain(Tick(9));
    assert!(live.set_health(Health::Down, Tick(1)));
    assert!(!live.set_health(Health::Down, Tick(1)));
    assert!(live.set_health(Health::Pending, Tick(1)));
    assert_eq!(live.health(), Health::Pending);
    assert!(live.draining());
    live.undrain();
    assert_eq!(live.standing(), (Health::Pending, false));
}

#[test]
fn the_limit_is_real_and_a_freed_place_can_be_taken_again() {
    let live = Live::new(0);
    assert!(live.raise(Some(2)) && live.raise(Some(2)));
    assert!(!live.raise(Some(2)));
    live.lower();
    assert!(live.raise(Some(2)));
    assert!(!live.raise(Some(0)));
    assert!(live.raise(None));
    assert_eq!(live.in_flight(), 3);
}

#[test]
fn a_lowered_limit_waits_until_enough_have_left() {
    let live = Live::new(0);
    assert!((0..5).all(|_| live.raise(Some(5))));
    live.lower();
    assert!(!live.raise(Some(3)));
}

#[test]
fn no_number_of_threads_passes_the_limit() {
    let live = Live::new(0);
    on_four_threads(|_| {
        for _ in 0..10_000 {
            if live.raise(Some(3)) {
                assert!(live.in_flight() <= 3);
                live.lower();
            }
        }
    });
    assert_eq!(live.in_flight(), 0);
}

#[test]
fn a_success_ends_the_row_of_failures() {
    let live = Live::new(0);
    assert_eq!((live.count_failure(), live.count_failure()), (1, 2));
    live.count_success(Tick(5));
    assert_eq!(live.failures(), 0);
    assert_eq!(live.count_failure(), 1);
}

#[test]
fn only_a_success_after_the_return_ends_the_row_of_ejections() {
    let live = Live::new(0);
    assert_eq!(live.count_ejection(), 1);
    live.eject(Tick(100));
    live.count_success(Tick(99));
    assert_eq!(live.ejected_until(), Some(Tick(100)));
    assert_eq!(live.count_ejection(), 2);
    live.count_success(Tick(100));
    assert_eq!(live.ejected_until(), None);
    assert_eq!(live.count_ejection(), 1);
}

#[test]
fn an_ejection_lasts_until_its_time_and_not_longer() {
    let live = Live::new(0);
    live.eject(Tick(100));
    assert!(live.ejected(Tick(99)));
    assert!(!live.ejected(Tick(100)));
}
