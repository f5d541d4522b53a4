//! The Merkle tree of RFC 6962 over the lines of one chain, kept as the roots of its full subtrees: 32 bytes a level.

use std::{fmt, str::FromStr};

use super::{NotAHash, decode, hash};

/// A tree that only grows. A tree of 2^64 leaves has 64 levels; a year at a thousand lines a second needs 35.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    /// Roots of the full subtrees, the largest first: one for each bit that is set in `size`.
    peaks: Vec<[u8; 32]>,
}

/// A tree that goes on from somebody else's word has no more leaves than this: thirty years at a billion lines a second.
const MOST_LEAVES: u64 = 1 << 60;

/// The hash over a whole tree. Shown as 44 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root([u8; 32]);

// === impl Tree ===

impl Tree {
    /// Adds the hash of a leaf.
    pub fn push(&mut self, leaf: [u8; 32]) {
        let mut node = leaf;
        // Each full subtree at the end pairs with one of its own size.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = join(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The tree of so many leaves that has these peaks; `None` if that many leaves have another number of them, or if they
    /// are more than anybody ever writes: a number that somebody made up must not run over when the tree grows.
    #[must_use]
    pub fn from_peaks(size: u64, peaks: &[Root]) -> Option<Self> {
        let fits = size <= MOST_LEAVES && peaks.len() == size.count_ones() as usize;
        fits.then(|| Self { size, peaks: peaks.iter().map(|peak| peak.0).collect() })
    }

    /// The roots of its full subtrees, the largest first: with them and the size somebody who has not seen the leaves can
    /// go on from here, and they give the root, so whoever signs that has signed them.
    pub fn peaks(&self) -> impl Iterator<Item = Root> + '_ {
        self.peaks.iter().copied().map(Root)
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root as it is now; that of no leaf is the hash of nothing (RFC 6962 section 2.1).
    #[must_use]
    pub fn root(&self) -> Root {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Root(hash(&[])) };
        Root(peaks.fold(*last, |right, left| join(left, &right)))
    }
}

/// A node is marked by a one, a leaf by a zero, so that neither can pass for the other.
fn join(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    hash(&[&[1], left, right])
}

// === impl Root ===

impl Root {
    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::Head(self.0).fmt(f)
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Root {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode(text.as_bytes()).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves and roots that Certificate Transparency's own implementations are tested with.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    /// The definition of RFC 6962 section 2.1, word for word: slow, and of another shape than the tree above.
    fn defined(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => hash(&[]),
            [leaf] => *leaf,
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(half);
                join(&defined(left), &defined(right))
            }
        }
    }

    #[test]
    fn the_roots_are_certificate_transparencys() {
        let mut tree = Tree::default();
        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            assert_eq!(hex::encode(tree.root().bytes()), root);
            tree.push(hash(&[&[0], &hex::decode(leaf).unwrap()]));
        }
        assert_eq!((hex::encode(tree.root().bytes()).as_str(), tree.size()), (ROOTS[8], 8));
    }

    #[test]
    fn the_compact_tree_is_the_defined_tree() {
        let mut tree = Tree::default();
        let mut leaves = Vec::new();
        for number in 0..200_u64 {
            let leaf = hash(&[&[0], &number.to_be_bytes()]);
            tree.push(leaf);
            leaves.push(leaf);
            assert_eq!(tree.root().0, defined(&leaves), "{} leaves", leaves.len());
            assert_eq!(tree.peaks.len(), leaves.len().count_ones() as usize);
        }
    }

    #[test]
    fn a_tree_goes_on_from_its_peaks() {
        let mut tree = Tree::default();
        for number in 0..70_u64 {
            let peaks: Vec<Root> = tree.peaks().collect();
            let mut resumed = Tree::from_peaks(tree.size(), &peaks).unwrap();
            assert_eq!(resumed.root(), tree.root());
            let leaf = hash(&[&[0], &number.to_be_bytes()]);
            resumed.push(leaf);
            tree.push(leaf);
            assert_eq!((resumed.root(), resumed.size()), (tree.root(), number + 1));
            assert!(Tree::from_peaks(tree.size(), &[&peaks[..], &peaks, &[tree.root(); 9]].concat()).is_none());
        }
        assert!(Tree::from_peaks(u64::MAX, &[tree.root(); 64]).is_none(), "no room for one more");
    }

    #[test]
    fn a_root_has_one_text() {
        let root = Tree::default().root();
        assert_eq!(root.to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(root.to_string().parse(), Ok(root));
        assert_eq!("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".parse::<Root>(), Err(NotAHash));
    }
}
