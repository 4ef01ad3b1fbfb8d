//! Names of tensors without the numbers in them: thousands of names have few templates.

use std::collections::HashMap;

/// Most digits of a number that stands for a layer or an expert.
pub const DIGITS: usize = 9;

/// Names, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    /// Every template once, in the order of the names: a name with `0` for each of its numbers.
    pub templates: Vec<String>,
    /// The template of each name.
    pub which: Vec<usize>,
    /// The numbers of all names, one name after the other.
    pub numbers: Vec<u32>,
    /// The first number of each name.
    pub starts: Vec<usize>,
}

/// Takes names apart. A number is what stands between two dots and is 1 to [`DIGITS`] digits.
///
/// ```
/// use parentage_core::checkpoint::names::take_apart;
/// let found = take_apart(["a.3.b.17.c", "a.4.b.2.c", "9.a"].into_iter());
/// assert_eq!(found.templates, ["a.0.b.0.c", "9.a"]);
/// assert_eq!(found.which, [0, 0, 1]);
/// assert_eq!(found.numbers, [3, 17, 4, 2]);
/// assert_eq!(found.starts, [0, 2, 4]);
/// ```
pub fn take_apart<'a>(names: impl Iterator<Item = &'a str>) -> Templates {
    let mut out = Templates::default();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut template = String::new();
    for name in names {
        template.clear();
        out.starts.push(out.numbers.len());
        let last = name.split('.').count() - 1;
        for (at, part) in name.split('.').enumerate() {
            if at > 0 {
                template.push('.');
            }
            match number(part).filter(|_| (1..last).contains(&at)) {
                Some(number) => {
                    out.numbers.push(number);
                    template.push('0');
                }
                None => template.push_str(part),
            }
        }
        let which = match seen.get(&template) {
            Some(&which) => which,
            None => {
                seen.insert(template.clone(), out.templates.len());
                out.templates.push(template.clone());
                out.templates.len() - 1
            }
        };
        out.which.push(which);
    }
    out
}

fn number(part: &str) -> Option<u32> {
    let is_one = (1..=DIGITS).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit());
    if is_one { part.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn longer_numbers_and_those_at_an_end_stay() {
        let names =
            ["1.a.2", "a.1234567890.b", "a.123456789.b", "a..b", "a.+1.b", "", "a.\u{0663}.b"];
        let found = take_apart(names.into_iter());
        let templates = ["1.a.2", "a.1234567890.b", "a.0.b", "a..b", "a.+1.b", "", "a.\u{0663}.b"];
        assert_eq!(found.templates, templates);
        assert_eq!((found.numbers, found.starts[2]), (vec![123_456_789], 0));
    }

    proptest! {
        #[test]
        fn a_name_is_its_template_and_its_numbers(names in prop::collection::vec("[a.0-9]{0,12}", 0..20)) {
            let found = take_apart(names.iter().map(String::as_str));
            let mut numbers = found.numbers.iter();
            for (at, name) in names.iter().enumerate() {
                let which = found.which[at];
                prop_assert_eq!(found.starts[at], found.numbers.len() - numbers.len());
                let template: Vec<_> = found.templates[which].split('.').collect();
                let parts: Vec<_> = name.split('.').collect();
                prop_assert_eq!(template.len(), parts.len());
                for (at, (part, filled)) in parts.iter().zip(&template).enumerate() {
                    let inside = at > 0 && at + 1 < parts.len();
                    if inside && (1..=DIGITS).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit()) {
                        prop_assert_eq!(*filled, "0");
                        prop_assert_eq!(Some(part.parse::<u32>().unwrap()), numbers.next().copied());
                    } else {
                        prop_assert_eq!(part, filled);
                    }
                }
            }
            prop_assert_eq!(numbers.next(), None);
        }
    }
}
