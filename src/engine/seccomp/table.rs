//! The verdicts of a profile on the calls of one [`Abi`], by number.

use std::collections::BTreeMap;

use super::machine::Abi;
use super::profile::{ArgumentTest, CallAction, Operator, Rule};

/// The verdict on each call that has a rule, by number.
#[derive(Debug, Default)]
pub(super) struct CallTable(pub(super) BTreeMap<u32, Verdict>);

/// How a call is decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Always(CallAction),
    /// The first of these whose comparisons are all true, else the profile's default.
    Depends(Vec<(Vec<ArgumentTest>, CallAction)>),
}

impl CallTable {
    /// Adds a rule; returns whether there is such a call.
    pub(super) fn add(
        &mut self,
        abi: Abi,
        rule: &Rule,
        warnings: &mut Vec<(usize, String)>,
    ) -> bool {
        let Some(number) = rule.number.or_else(|| abi.number(&rule.name)) else { return false };
        self.put(number, &rule.comparisons, rule.action);
        if let Some((through, inner)) = abi.also_through(&rule.name)
            && let Some(number) = abi.number(through)
        {
            if rule.comparisons.is_empty() {
                let (operator, value) = (Operator::Equal, u64::from(inner));
                let which = [ArgumentTest { argument: 0, operator, value }];
                self.put(number, &which, rule.action);
            } else {
                let name = &rule.name;
                let said = format!(
                    "32-bit programs can make {name} through {through}, where a filter cannot see \
                     its arguments; the rule does not apply there"
                );
                warnings.push((rule.line, said));
            }
        }
        true
    }

    /// A rule without comparisons takes the place of those with some, wherever it stands; of two
    /// without, the first stays.
    fn put(&mut self, number: u32, comparisons: &[ArgumentTest], action: CallAction) {
        let verdict = self.0.entry(number).or_insert_with(|| Verdict::Depends(Vec::new()));
        if let Verdict::Depends(rules) = verdict {
            if comparisons.is_empty() {
                *verdict = Verdict::Always(action);
            } else {
                rules.push((comparisons.to_vec(), action));
            }
        }
    }
}
