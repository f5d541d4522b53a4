//! Follows a page of the documentation: its fenced blocks, in order, as somebody would who reads it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// A page's blocks.
#[derive(Debug)]
pub struct Guide {
    blocks: Vec<Block>,
}

/// What stands between "```language tag" and the next "```".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// `sh`, `yaml`, ...
    pub language: String,
    /// The word behind it, empty where there is none: blocks without one are for reading.
    pub tag: String,
    /// The lines between.
    pub text: String,
}

impl Guide {
    /// Reads a page below `deploy/guides`.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(page: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/guides").join(page);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { blocks: blocks(&text) })
    }

    /// All blocks, in the order of the page.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    /// Those that are for more than reading.
    pub fn tagged(&self) -> impl Iterator<Item = &Block> {
        self.blocks().filter(|block| !block.tag.is_empty())
    }

    /// The text of the one block of that language and tag.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn only(&self, language: &str, tag: &str) -> Result<&str> {
        let mut found = self.blocks.iter().filter(|block| block.language == language && block.tag == tag);
        let one = found.next().filter(|_| found.next().is_none());
        Ok(&one.with_context(|| format!("one block {language} {tag}"))?.text)
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(opening) = lines.by_ref().find_map(|line| line.strip_prefix("```")) {
        let (language, tag) = opening.split_once(' ').unwrap_or((opening, ""));
        let inside = lines.by_ref().take_while(|line| *line != "```");
        let text = inside.map(|line| line.to_owned() + "\n").collect();
        blocks.push(Block { language: language.to_owned(), tag: tag.to_owned(), text });
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_in_order_with_their_tags() {
        let page = "a\n```sh run\none\n```\nb\n```\nplain\n```\n```yaml staging\nx: |\n  ``\n```\n";
        let found = blocks(page);
        let as_text: Vec<_> = found.iter().map(|block| (&*block.language, &*block.tag, &*block.text)).collect();
        assert_eq!(as_text, [("sh", "run", "one\n"), ("", "", "plain\n"), ("yaml", "staging", "x: |\n  ``\n")]);
    }
}
