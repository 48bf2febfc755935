//! What is always true of a pool, for tests.

use std::collections::HashMap;

use super::{Pool, Table, names};

impl Pool {
    /// Panics where the pool and the tables do not fit together. `tables` are all that hold blocks.
    pub(crate) fn check<'a>(&self, tables: impl Iterator<Item = &'a Table>) {
        let mut holders = vec![0; self.size()];
        for table in tables {
            self.check_table(table);
            for &block in table.blocks() {
                holders[block as usize] += 1;
            }
        }
        assert_eq!(self.holders, holders, "each block is counted as often as it is held");
        let idle: Vec<u32> = self.idle.iter().collect();
        assert_eq!(idle.len(), self.idle.len());
        let mut free = vec![0; self.size()];
        for &block in idle.iter().chain(&self.empty) {
            free[block as usize] += 1;
        }
        for (block, holders) in holders.iter().enumerate() {
            assert_eq!(free[block], i32::from(*holders == 0), "block {block} is held, or free once");
        }
        assert!(idle.iter().all(|&block| self.names.has(block)), "what is cached has a name");
        assert!(!self.empty.iter().any(|&block| self.names.has(block)), "what is empty has none");
        assert_eq!(self.used() + self.cached() + self.empty.len(), self.size());
        self.check_parents(&idle);
    }

    fn check_table(&self, table: &Table) {
        let mut parent = names::START;
        for (place, &block) in table.blocks().iter().enumerate() {
            assert_eq!(self.names.has(block), place < table.named, "the full blocks have names, and no others");
            if place < table.named {
                assert_eq!(self.names.parent(block), Some(parent), "a sequence's blocks follow each other");
                parent = self.names.serial(block);
            } else {
                assert_eq!(self.holders[block as usize], 1, "what may be written is held by one");
            }
        }
    }

    fn check_parents(&self, idle: &[u32]) {
        let named: Vec<u32> = (0..self.size() as u32).filter(|&block| self.names.has(block)).collect();
        assert_eq!(named.len(), self.names.len());
        let by_serial: HashMap<u64, u32> = named.iter().map(|&block| (self.names.serial(block), block)).collect();
        let age: HashMap<u32, usize> = idle.iter().enumerate().map(|(age, &block)| (block, age)).collect();
        for block in named {
            let Some(parent) = self.names.parent(block).filter(|&parent| parent != names::START) else { continue };
            let parent = by_serial[&parent];
            match (age.get(&block), age.get(&parent)) {
                (Some(child), Some(parent)) => assert!(child < parent, "a child is evicted before its parent"),
                (None, Some(_)) => panic!("block {block} is held, and the one in front of it is not"),
                _ => {}
            }
        }
    }
}
