//! Lines are found in the log, which does not scroll while they are inspected.

use super::*;
use crate::ui::texts;

fn with_log() -> Model {
    let mut model = three();
    press(&mut model, "G l");
    let lines: Vec<String> = (0..100)
        .map(|it| format!("line {it}{}", if it % 30 == 0 { " ERROR" } else { "" }))
        .collect();
    _ = update(&mut model, Message::Log { name: name("web"), text: Ok(lines.join("\n")) });
    model
}

fn found_at(model: &Model) -> Option<usize> {
    model.detail.as_ref().unwrap().search.as_ref()?.at
}

#[test]
fn the_newest_line_is_found_first_and_the_others_with_a_key() {
    let mut model = with_log();
    press(&mut model, "/ e r r o r Enter");
    assert_eq!(found_at(&model), Some(90));
    press(&mut model, "N N");
    assert_eq!(found_at(&model), Some(30));
    press(&mut model, "n");
    assert_eq!(found_at(&model), Some(60));
    let detail = model.detail.as_ref().unwrap();
    assert!(!detail.follow && (detail.scroll..detail.scroll + 30).contains(&60));
    press(&mut model, "Esc");
    assert_eq!(found_at(&model), None);
    assert!(model.detail.is_some(), "the first Esc ends the search alone");
}

#[test]
fn without_a_search_its_keys_mean_what_they_always_mean() {
    let mut model = with_log();
    press(&mut model, "n");
    assert!(model.creating);
}

#[test]
fn processes_are_ordered_where_they_are_shown() {
    let mut model = three();
    press(&mut model, "G Enter");
    let effects = update(&mut model, Message::Key(KeyCode::Char('o').into()));
    assert_eq!(effects, []);
    let effects = update(&mut model, Message::Key(KeyCode::Char('m').into()));
    let Some(Effect::Look(look)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(look.order, engine::process::ProcessOrder::Memory);
}

#[test]
fn the_configuration_opens_at_the_line_that_is_to_blame() {
    let mut model = three();
    press(&mut model, "j s");
    let why = "mount /a on /b: No such file or directory (line 40 of /var/lib/lxc/db/config)";
    _ = update(&mut model, done("db", Act::Start, Err(why.to_owned())));
    assert_eq!(texts::blamed_line(&model), Some(39));
    press(&mut model, "7");
    assert_eq!(model.detail.as_ref().unwrap().scroll, 37);
    press(&mut model, "Esc j");
    assert_eq!(texts::blamed_line(&model), None, "another container's");
    let elsewhere = "cannot be read (line 4 of /usr/share/lxc/config/common.conf)";
    press(&mut model, "k s");
    _ = update(&mut model, done("db", Act::Start, Err(elsewhere.to_owned())));
    assert_eq!(texts::blamed_line(&model), None);
}
