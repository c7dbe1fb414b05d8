//! Round robin: everybody in turn, exactly by weight, counted over all workers.
//!
//! The turns of one cycle are laid out in a table when the plan is built, and one shared cursor walks it: a pick is one
//! `fetch_add` and one look-up, so shares are exact however many workers there are. A backend that may not be used
//! loses its turn to the next one of the cursor, which keeps the shares of the others right among themselves.
//!
//! The layout is nginx's smooth weighted round robin: before each turn everybody gains its weight, the richest takes the
//! turn and pays the sum of all weights. 5:1:1 becomes A A B A C A A, not A A A A A B C. Backends of one weight are
//! always equally rich up to the order of their turns, so they share one account here, and laying out costs turns times
//! *different* weights.
//!
//! A cycle has at most 65,536 turns. Weights that need more are scaled down, and everybody keeps at least one turn.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::random::{self, Dice};
use crate::Backend;
use crate::tier::View;

/// The most turns of one cycle, unless there are more backends than that.
const MOST_TURNS: u64 = 65_536;

/// Turns that may be lost in a row before chance decides: the one big backend of a lopsided pool is out.
const MOST_LOST: usize = 256;

pub(super) fn pick(view: &mut View, cursor: &AtomicU64, dice: &mut Dice) -> Option<u32> {
    let turns = view.tier().turns();
    for _ in 0..turns.len().min(MOST_LOST) {
        let turn = cursor.fetch_add(1, Relaxed) % turns.len() as u64;
        let slot = turns[turn as usize];
        if view.is_free(slot) && view.take(slot) {
            return Some(slot);
        }
    }
    random::pick(view, dice)
}

/// One cycle of turns by weight, smoothly interleaved. Members have a weight above 0.
pub(crate) fn schedule(members: &[u32], backends: &[Backend]) -> Box<[u32]> {
    let weights: Vec<u64> = members.iter().map(|&slot| u64::from(backends[slot as usize].weight)).collect();
    let weights = scaled(reduced(weights));
    let total: u64 = weights.iter().sum();
    let mut accounts = accounts(members, &weights);
    (0..total).map(|_| next_turn(&mut accounts, total as i64)).collect()
}

/// Backends of one weight. `next` is the poorest in turns, `credit` what it owns.
struct Account {
    weight: i64,
    credit: i64,
    members: Vec<u32>,
    next: usize,
}

fn accounts(members: &[u32], weights: &[u64]) -> Vec<Account> {
    let mut by_weight: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (&member, &weight) in members.iter().zip(weights) {
        by_weight.entry(weight).or_default().push(member);
    }
    let account = |(weight, members)| Account { weight: weight as i64, credit: 0, members, next: 0 };
    by_weight.into_iter().map(account).collect()
}

fn next_turn(accounts: &mut [Account], total: i64) -> u32 {
    for account in accounts.iter_mut() {
        account.credit += account.weight;
    }
    // Of equally rich ones the first in the configuration.
    let richest = accounts.iter_mut().max_by_key(|a| (a.credit, std::cmp::Reverse(a.members[a.next])));
    let Some(account) = richest else { unreachable!("a tier without members has no turns") };
    let member = account.members[account.next];
    account.next += 1;
    if account.next == account.members.len() {
        account.next = 0;
        account.credit -= total;
    }
    member
}

/// Divided by what they have in common.
fn reduced(weights: Vec<u64>) -> Vec<u64> {
    let common = weights.iter().copied().fold(0, gcd).max(1);
    weights.into_iter().map(|weight| weight / common).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Brought down to the longest cycle, at least 1 each.
fn scaled(weights: Vec<u64>) -> Vec<u64> {
    let total: u64 = weights.iter().sum();
    if total <= MOST_TURNS {
        return weights;
    }
    // The room kept free is what rounding up to 1 may need.
    let room = MOST_TURNS.saturating_sub(weights.len() as u64);
    let share = |weight| (u128::from(weight) * u128::from(room) / u128::from(total)) as u64;
    reduced(weights.into_iter().map(|weight| share(weight).max(1)).collect())
}

#[cfg(test)]
mod tests;
