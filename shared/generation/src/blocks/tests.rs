use proptest::prelude::*;

use super::*;

fn scope(name: &str) -> Arc<str> {
    name.into()
}

/// A table whose tokens are all read.
fn filled(pool: &mut Pool, scope: &Arc<str>, tokens: &[u32]) -> Table {
    let (mut table, mut found) = (Table::default(), Vec::new());
    pool.find(scope, tokens, &mut found);
    pool.open(&mut table, &found);
    assert!(pool.grow(&mut table, tokens.len()));
    pool.settle(&mut table, scope, tokens);
    table
}

fn found(pool: &Pool, scope: &str, tokens: &[u32]) -> usize {
    let mut found = Vec::new();
    pool.find(scope, tokens, &mut found);
    found.len()
}

#[test]
fn the_longest_beginning_of_full_blocks_is_found_again() {
    let (mut pool, a) = (Pool::new(8, 2), scope("a"));
    let mut table = filled(&mut pool, &a, &[1, 2, 3, 4, 5]);
    assert_eq!((pool.used(), pool.cached()), (3, 0));
    pool.clear(&mut table);
    assert_eq!((pool.used(), pool.cached(), pool.available()), (0, 2, 8), "the block that was not full is forgotten");
    assert_eq!(found(&pool, "a", &[1, 2, 3, 4, 5, 6]), 2);
    assert_eq!(found(&pool, "a", &[1, 2, 4, 4]), 1);
    assert_eq!(found(&pool, "a", &[3, 4]), 0, "the same tokens elsewhere are something else");
}

#[test]
fn one_scope_never_finds_anothers_blocks() {
    let mut pool = Pool::new(8, 2);
    let (mut a, mut b) = (filled(&mut pool, &scope("a"), &[1, 2, 3, 4]), filled(&mut pool, &scope("b"), &[1, 2, 3, 4]));
    assert_eq!(pool.used(), 4);
    pool.clear(&mut b);
    pool.clear(&mut a);
    assert_eq!(found(&pool, "c", &[1, 2, 3, 4]), 0);
    assert_eq!((found(&pool, "a", &[1, 2, 3, 4]), found(&pool, "b", &[1, 2, 3, 4])), (2, 2));
}

#[test]
fn blocks_filled_twice_with_the_same_become_one() {
    let (mut pool, a) = (Pool::new(8, 2), scope("a"));
    let (mut one, mut other) = (Table::default(), Table::default());
    assert!(pool.grow(&mut one, 4) && pool.grow(&mut other, 4));
    pool.settle(&mut one, &a, &[1, 2, 3]);
    pool.settle(&mut other, &a, &[1, 2, 3]);
    assert_eq!(one.blocks()[0], other.blocks()[0]);
    assert_ne!(one.blocks()[1], other.blocks()[1], "those that are not full are never shared");
    pool.check([&one, &other].into_iter());
    pool.clear(&mut one);
    assert_eq!(pool.used(), 2);
    pool.clear(&mut other);
}

#[test]
fn the_longest_unused_is_evicted_first_and_children_before_their_parents() {
    let (mut pool, a) = (Pool::new(4, 1), scope("a"));
    let mut old = filled(&mut pool, &a, &[1, 2]);
    pool.clear(&mut old);
    let mut new = filled(&mut pool, &a, &[3, 4]);
    pool.clear(&mut new);
    let mut table = Table::default();
    assert!(pool.grow(&mut table, 1));
    assert_eq!((found(&pool, "a", &[1, 2]), found(&pool, "a", &[3, 4])), (1, 2));
    assert!(pool.grow(&mut table, 3));
    assert_eq!((found(&pool, "a", &[1, 2]), found(&pool, "a", &[3, 4])), (0, 1));
    assert!(pool.grow(&mut table, 4) && !pool.grow(&mut table, 5));
    pool.check([&table].into_iter());
    assert_eq!(table.blocks().len(), 4);
}

#[test]
fn what_was_used_again_is_evicted_last() {
    let (mut pool, a) = (Pool::new(2, 1), scope("a"));
    for token in [1, 2, 1] {
        let mut table = filled(&mut pool, &a, &[token]);
        pool.clear(&mut table);
    }
    assert!(pool.grow(&mut Table::default(), 1));
    assert_eq!((found(&pool, "a", &[1]), found(&pool, "a", &[2])), (1, 0));
}

#[derive(Clone, Debug)]
enum Deed {
    Open { scope: bool, tokens: Vec<u32> },
    Read { which: usize, tokens: usize },
    Clear { which: usize },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let tokens = prop::collection::vec(0_u32..2, 1..12);
    prop::collection::vec(
        prop_oneof![
            (any::<bool>(), tokens).prop_map(|(scope, tokens)| Deed::Open { scope, tokens }),
            (any::<usize>(), 1_usize..6).prop_map(|(which, tokens)| Deed::Read { which, tokens }),
            any::<usize>().prop_map(|which| Deed::Clear { which }),
        ],
        1..80,
    )
}

proptest! {
    #[test]
    fn whatever_is_done_every_block_is_somewhere_once_and_what_is_shared_is_full(deeds in deeds()) {
        let mut pool = Pool::new(12, 2);
        let mut all: Vec<(Arc<str>, Vec<u32>, usize, Table)> = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Open { scope: first, tokens } => {
                    let (scope, mut table, mut blocks) = (scope(if first { "a" } else { "b" }), Table::default(), Vec::new());
                    pool.find(&scope, &tokens, &mut blocks);
                    pool.open(&mut table, &blocks);
                    all.push((scope, tokens, blocks.len() * 2, table));
                }
                Deed::Read { which, tokens: more } if !all.is_empty() => {
                    let which = which % all.len();
                    let (scope, tokens, read, table) = &mut all[which];
                    let to = tokens.len().min(*read + more);
                    if pool.grow(table, to) {
                        *read = to;
                        pool.settle(table, scope, &tokens[..to]);
                    }
                }
                Deed::Clear { which } if !all.is_empty() => {
                    let which = which % all.len();
                    pool.clear(&mut all.swap_remove(which).3);
                }
                _ => {}
            }
            pool.check(all.iter().map(|one| &one.3));
        }
        for (.., mut table) in all {
            pool.clear(&mut table);
        }
        prop_assert_eq!(pool.available(), 12);
    }
}
