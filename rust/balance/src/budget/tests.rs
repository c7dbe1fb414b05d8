use super::*;
use crate::fixtures::{at, on_four_threads};
use proptest::prelude::*;
use std::sync::atomic::AtomicU64;

fn fifth(spent: &Spent) -> Budget<'_> {
    Budget::new(spent, 20)
}

fn granted(spent: &Spent, asks: u64, now: Tick) -> u64 {
    (0..asks).filter(|_| fifth(spent).withdraw(now)).count() as u64
}

fn after_requests(requests: u64, now: Tick) -> Spent {
    let spent = Spent::default();
    (0..requests).for_each(|_| fifth(&spent).request(now));
    spent
}

#[test]
fn a_quiet_pool_has_ten_and_earns_ten_a_second() {
    assert_eq!(granted(&Spent::default(), 1_000, at(0)), 10);
    let spent = after_requests(1, at(3));
    assert_eq!(granted(&spent, 1_000, at(3)), 10);
    assert_eq!(granted(&spent, 1_000, at(5)), 0, "the ten of the first second are spent");
    assert_eq!(granted(&spent, 1_000, at(8)), 30, "what was not spent stays");
}

#[test]
fn a_fifth_of_the_requests_comes_on_top() {
    assert_eq!(granted(&after_requests(1_000, at(0)), 1_000, at(0)), 210);
    assert_eq!(granted(&after_requests(1_000, at(0)), 1_000, at(9)), 280);
}

#[test]
fn any_part_may_be_configured_and_the_ten_a_second_stay() {
    for (percent, due) in [(0, 10), (5, 60), (50, 510), (100, 1_010)] {
        let spent = after_requests(1_000, at(0));
        let budget = Budget::new(&spent, percent);
        assert_eq!((0..5_000).filter(|_| budget.withdraw(at(1))).count(), due, "{percent} %");
    }
}

#[test]
fn requests_count_for_ten_seconds() {
    let spent = after_requests(1_000, at(0));
    assert_eq!(granted(&spent, 1_000, at(10)), 10);
}

#[test]
fn a_pool_that_fails_whole_never_gets_more_than_its_share() {
    for start in [0, 400_000, 999_999] {
        let spent = Spent::default();
        let (mut requests, mut sent) = (0, 0);
        for step in 0..400 {
            let now = Tick(start + step * 100_000);
            (0..90).for_each(|_| fifth(&spent).request(now));
            requests += 90;
            sent += granted(&spent, 200, now);
            let ten_a_second = step.max(10);
            assert!(sent <= requests / 5 + ten_a_second, "{sent} retries of {requests} requests in {step} tenths");
        }
        assert!(sent >= requests / 5 + 300, "{sent} retries of {requests} requests");
    }
}

#[test]
fn what_was_spent_comes_back_after_ten_seconds() {
    let spent = Spent::default();
    (0..10).for_each(|second| fifth(&spent).request(at(second)));
    assert_eq!(granted(&spent, 1_000, at(9)), 82);
    (10..16).for_each(|second| fifth(&spent).request(at(second)));
    assert_eq!(granted(&spent, 1_000, at(15)), 0);
    assert_eq!(granted(&spent, 1_000, at(19)), 81);
}

#[test]
fn refused_ones_do_not_count_against_later_ones() {
    let spent = Spent::default();
    granted(&spent, 10_000, at(0));
    assert_eq!(granted(&spent, 1_000, at(10)), 10);
}

#[test]
fn a_slot_starts_anew_whole_windows_later() {
    let spent = after_requests(5_000, at(3));
    fifth(&spent).request(at(13));
    assert_eq!(granted(&spent, 10_000, at(13)), 10);
}

#[test]
fn threads_never_get_more_than_there_is_and_together_get_nearly_all() {
    let spent = after_requests(4_500, at(0));
    let sum = AtomicU64::new(0);
    on_four_threads(|_| {
        let own = granted(&spent, 5_000, at(1));
        sum.fetch_add(own, SeqCst);
    });
    let sum = sum.into_inner();
    assert!((900..=910).contains(&sum), "{sum}");
}

#[test]
fn threads_lose_no_request_when_a_second_begins() {
    let spent = Spent::default();
    on_four_threads(|_| {
        for step in 0..10_000u64 {
            fifth(&spent).request(at(step / 2_000));
        }
    });
    assert_eq!(spent.requests.sum(second(at(4))), 40_000);
}

proptest! {
    #[test]
    fn no_window_grants_more_than_its_requests_allow(
        steps in proptest::collection::vec((0u64..4, 0u64..200, 0u64..200), 1..40)
    ) {
        let spent = Spent::default();
        let mut now = 0;
        let mut history = Vec::new();
        for (wait, requests, asks) in steps {
            now += wait;
            (0..requests).for_each(|_| fifth(&spent).request(at(now)));
            let got = granted(&spent, asks, at(now));
            history.push((now, requests, got));
            let window = history.iter().filter(|past| past.0 + 10 > now);
            let (requests, got) = window.fold((0, 0), |sum, past| (sum.0 + past.1, sum.1 + past.2));
            prop_assert!(got <= requests / 5 + 100 || history.last().is_some_and(|last| last.2 == 0));
        }
    }
}
