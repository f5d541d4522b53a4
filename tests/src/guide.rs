//! Follows a page of the documentation: its fenced blocks, in order, as somebody would who reads it.

use std::{
    fs,
    path::{Path, PathBuf},
};

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
        Self::read_file(&path(page))
    }

    /// Reads any page.
    ///
    /// # Errors
    /// If there is none.
    pub fn read_file(page: &Path) -> Result<Self> {
        Ok(Self { blocks: blocks(&text(page)?) })
    }

    /// Reads the section of a page below `deploy/guides` that has this heading, hashes included, up to the next heading.
    ///
    /// # Errors
    /// If there is no such page or section.
    pub fn read_section(page: &str, heading: &str) -> Result<Self> {
        let text = text(&path(page))?;
        let section = section(&text, heading).with_context(|| format!("{page} has no heading {heading:?}"))?;
        Ok(Self { blocks: blocks(section) })
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

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/guides").join(page)
}

fn text(page: &Path) -> Result<String> {
    fs::read_to_string(page).with_context(|| format!("reading {}", page.display()))
}

fn section<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    let at = |line: &str| line.as_ptr() as usize - page.as_ptr() as usize;
    let mut fenced = false;
    // A comment of a shell script begins like a heading.
    let mut headings = page.lines().filter(|line| {
        fenced ^= line.trim_start().starts_with(FENCE);
        !fenced && line.starts_with('#')
    });
    let begin = headings.by_ref().find(|line| *line == heading)?;
    let end = headings.next().map_or(page.len(), at);
    Some(&page[at(begin) + begin.len()..end])
}

const FENCE: &str = "```";

/// A block in a list is indented as its item is, and its lines with it.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some((indent, opening)) = lines.by_ref().find_map(|line| {
        let opening = line.trim_start().strip_prefix(FENCE)?;
        Some((&line[..line.len() - FENCE.len() - opening.len()], opening))
    }) {
        let (language, tag) = opening.split_once(' ').unwrap_or((opening, ""));
        let inside = lines.by_ref().map(|line| line.strip_prefix(indent).unwrap_or(line));
        let text = inside.take_while(|line| *line != FENCE).map(|line| line.to_owned() + "\n").collect();
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

    #[test]
    fn a_block_in_a_list_loses_the_lists_indent_and_no_more() {
        let found = blocks("1. A:\n\n   ```yaml\n   a:\n     b: 1\n\n   ```\n\n2. B\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].text, "a:\n  b: 1\n\n");
    }

    #[test]
    fn a_section_ends_at_the_next_heading_and_not_at_a_comment() {
        let page = "# A\n## B\n```sh\n# c\n```\nd\n### E\nf\n";
        assert_eq!(section(page, "## B"), Some("\n```sh\n# c\n```\nd\n"));
        assert_eq!(section(page, "### E"), Some("\nf\n"));
        assert_eq!(section(page, "# c"), None);
    }
}
