use super::*;
use crate::fixtures::*;
use proptest::prelude::*;

fn two_keys() -> Ids {
    Ids::new(vec![(7, vec![100, 200, 300]), (9, vec![101, 201, 301])])
}

#[test]
fn the_first_key_signs_and_all_are_understood() {
    let ids = two_keys();
    assert_eq!(ids.mint(1, 5), Token { number: 7, minute: 5, id: 200 });
    assert_eq!(ids.slot(7, 200), Some(1));
    assert_eq!(ids.slot(9, 301), Some(2));
    assert!(ids.is_current(7) && !ids.is_current(9));
}

#[test]
fn an_id_is_valid_under_its_own_key_only() {
    let ids = two_keys();
    assert_eq!(ids.slot(9, 200), None);
    assert_eq!(ids.slot(8, 200), None);
    assert_eq!(ids.slot(7, 199), None);
    assert_eq!(ids.slot(255, u64::MAX), None);
}

#[test]
fn without_keys_nothing_is_understood() {
    let ids = Ids::new(Vec::new());
    assert_eq!(ids.slot(0, 0), None);
}

#[test]
fn after_a_rotation_clients_of_the_old_key_still_find_their_backend() {
    let old = Ids::new(vec![(9, vec![101, 201, 301])]);
    let new = two_keys();
    for slot in 0..3 {
        let token = old.mint(slot, 1);
        assert_eq!(new.slot(token.number, token.id), Some(slot));
        assert!(!new.is_current(token.number));
    }
}

#[test]
fn two_keys_of_one_number_are_both_understood() {
    let ids = Ids::new(vec![(7, vec![100]), (7, vec![200])]);
    assert_eq!((ids.slot(7, 100), ids.slot(7, 200)), (Some(0), Some(0)));
}

#[test]
fn ids_of_backends_that_are_gone_or_new_are_unknown_or_known_and_the_others_stay() {
    let after = Ids::new(vec![(7, vec![100, 300, 400])]);
    let before = two_keys();
    let moved = |slot| {
        let token = before.mint(slot, 0);
        after.slot(token.number, token.id)
    };
    assert_eq!([0, 1, 2].map(moved), [Some(0), None, Some(1)]);
}

#[test]
fn backends_are_found_by_their_live_id_wherever_they_are_now() {
    let live = |id| std::sync::Arc::new(crate::Live::new(id));
    let backends: Vec<Backend> = [5, 3, 9].map(|id| Backend { live: live(id), ..backend("x", 1) }).into();
    let slots = Slots::new(&backends);
    assert_eq!([5, 3, 9, 4].map(|id| slots.slot(id)), [Some(0), Some(1), Some(2), None]);
}

proptest! {
    #[test]
    fn forged_ids_are_not_honoured(forged in proptest::collection::vec(any::<(u8, u64)>(), 1..200)) {
        let ids = two_keys();
        for (number, id) in forged {
            let known = [(7, 100), (7, 200), (7, 300), (9, 101), (9, 201), (9, 301)].contains(&(number, id));
            prop_assert_eq!(ids.slot(number, id).is_some(), known);
        }
    }

    #[test]
    fn every_id_finds_its_backend(keys in proptest::collection::btree_map(
        any::<u8>(), proptest::collection::hash_set(any::<u64>(), 8..9), 1..4,
    )) {
        let keys: Vec<(u8, Vec<u64>)> = keys.into_iter().map(|(n, ids)| (n, ids.into_iter().collect())).collect();
        let ids = Ids::new(keys.clone());
        for (number, backends) in keys {
            for (slot, id) in (0..).zip(backends) {
                prop_assert_eq!(ids.slot(number, id), Some(slot));
            }
        }
    }
}
