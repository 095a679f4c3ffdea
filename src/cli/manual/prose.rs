//! The text of help as sections and paragraphs of a manual page. Pure.

use clap_mangen::roff::{Roff, roman};

/// A part of the text with a head of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotesSection {
    pub(super) head: &'static str,
    pub(super) text: String,
}

/// How a block of help begins that is a section of a manual page.
const HEADS: [(&str, &str); 3] =
    [("Exit code:", "EXIT STATUS"), ("Examples:", "EXAMPLES"), ("Example:", "EXAMPLES")];

/// Parts the notes of a command's help into the description and the sections after it.
pub(super) fn sections(notes: &str) -> (String, Vec<NotesSection>) {
    let mut description = Vec::new();
    let mut sections: Vec<NotesSection> = Vec::new();
    for block in notes.split("\n\n") {
        let headed = HEADS.iter().find_map(|it| Some((it.1, block.strip_prefix(it.0)?)));
        match headed {
            Some((head, text)) => {
                let text = text.trim_start_matches(['\n', ' ']).to_owned();
                // What follows a head with a line of its own is indented.
                let text = if text.len() + 2 < block.len() && block.contains(":\n") {
                    format!("  {text}")
                } else {
                    text
                };
                sections.push(NotesSection { head, text });
            }
            None => description.push(block),
        }
    }
    (description.join("\n\n"), sections)
}

/// Writes paragraphs; indented lines stay as they are.
pub(super) fn write(page: &mut Roff, text: &str) {
    for (at, block) in text.split("\n\n").enumerate() {
        if at > 0 {
            page.control("PP", []);
        }
        let mut verbatim = false;
        for line in block.lines() {
            let indented = line.starts_with("  ");
            if indented != verbatim {
                fence(page, indented);
                verbatim = indented;
            }
            page.text([roman(line)]);
        }
        if verbatim {
            fence(page, false);
        }
    }
}

fn fence(page: &mut Roff, begins: bool) {
    page.control(if begins { "nf" } else { "fi" }, []);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_and_exit_codes_are_sections() {
        let notes = "Does it.\n\nExit code: 0 if it did.\n\nExamples:\n  wharf x\n  wharf y";
        let (description, sections) = sections(notes);
        assert_eq!(description, "Does it.");
        let section = |head, text: &str| NotesSection { head, text: text.to_owned() };
        assert_eq!(
            sections,
            [section("EXIT STATUS", "0 if it did."), section("EXAMPLES", "  wharf x\n  wharf y")]
        );
    }

    #[test]
    fn indented_lines_stay_as_they_are() {
        let mut page = Roff::new();
        write(&mut page, "One\ntwo\n  a  b\n\nThree");
        assert_eq!(page.to_roff(), "One\ntwo\n.nf\n  a  b\n.fi\n.PP\nThree\n");
    }
}
