use super::*;
use crate::fixtures::{NOW, at, on_four_threads};
use proptest::prelude::*;

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn before_the_first_answer_it_is_zero() {
    let average = Average::default();
    assert_eq!(average.last(), 0);
    assert_eq!(average.at(NOW), 0.0);
}

#[test]
fn a_peak_is_believed_at_once() {
    let average = Average::default();
    average.observe(millis(10), NOW);
    average.observe(millis(500), NOW);
    assert_eq!(average.last(), 500_000);
}

#[test]
fn better_answers_are_believed_as_time_passes() {
    let average = Average::default();
    average.observe(millis(100), NOW);
    average.observe(millis(10), NOW);
    assert_eq!(average.last(), 100_000, "no time has passed");
    average.observe(millis(10), at(10));
    let expected = 10_000.0 + 90_000.0 * (-1.0f64).exp();
    assert!((average.last() as f64 - expected).abs() < 0.01 * expected, "{}", average.last());
}

#[test]
fn the_number_of_answers_does_not_matter_only_the_time() {
    let (few, many) = (Average::default(), Average::default());
    for average in [&few, &many] {
        average.observe(millis(100), NOW);
    }
    for step in 1..=10_000u64 {
        let now = NOW.after(millis(step));
        many.observe(millis(10), now);
        if step % 100 == 0 {
            few.observe(millis(10), now);
        }
    }
    let (few, many) = (few.last() as f64, many.last() as f64);
    assert!((few / many - 1.0).abs() < 0.02, "{few} {many}");
}

#[test]
fn reading_later_decays_without_changing_anything() {
    let average = Average::default();
    average.observe(millis(100), NOW);
    let later = average.at(at(10));
    assert!((f64::from(later) / 100_000.0 - (-1.0f64).exp()).abs() < 0.01);
    assert_eq!(average.last(), 100_000);
    assert_eq!(average.at(NOW), 100_000.0);
}

#[test]
fn a_worker_whose_clock_is_behind_neither_decays_nor_turns_the_stamp_back() {
    let average = Average::default();
    average.observe(millis(100), at(10));
    average.observe(millis(10), NOW);
    assert_eq!(average.last(), 100_000);
    assert_eq!(average.at(at(10)), 100_000.0);
}

#[test]
fn an_answer_of_no_time_still_counts_as_an_answer() {
    let average = Average::default();
    average.observe(Duration::ZERO, Tick(0));
    assert_eq!(average.last(), 1);
}

#[test]
fn years_of_uptime_wrap_the_stamp_and_nothing_else() {
    let average = Average::default();
    let before = Tick((u64::from(u32::MAX) << UNIT) + 1);
    average.observe(millis(100), before);
    let after = before.after(Duration::from_secs(10));
    assert!(units(after) < units(before));
    assert!((f64::from(average.at(after)) / 100_000.0 - (-1.0f64).exp()).abs() < 0.01);
}

#[test]
fn threads_lose_no_peak() {
    let average = Average::default();
    on_four_threads(|thread| {
        for step in 0..1_000 {
            average.observe(millis(step * 4 + thread), NOW);
        }
    });
    assert_eq!(average.last(), 3_999_000);
}

proptest! {
    #[test]
    fn it_stays_between_the_fastest_and_the_slowest(
        answers in proptest::collection::vec((1u64..10_000_000, 0u64..30_000_000), 1..50)
    ) {
        let average = Average::default();
        let mut now = NOW;
        for &(took, wait) in &answers {
            now = Tick(now.0 + wait);
            average.observe(Duration::from_micros(took), now);
        }
        let (least, most) = (answers.iter().map(|a| a.0).min(), answers.iter().map(|a| a.0).max());
        // An f32 keeps seven digits.
        prop_assert!(average.last() as f64 >= least.unwrap() as f64 * 0.999_99 - 1.0);
        prop_assert!(average.last() as f64 <= most.unwrap() as f64 * 1.000_01);
        prop_assert!(f64::from(average.at(now)) <= most.unwrap() as f64 * 1.000_01);
    }
}
