//! Paint only: borrowed data in, cells out. Nothing here knows what a container is.
//!
//! A widget is a struct of references with public fields and one `render`. All of them write cells
//! through [`pen::Pen`], the only place that turns text into cells, which never lets a control
//! character through.

pub mod field;
pub mod form;
pub mod frame;
pub mod gauge;
pub mod graph;
pub mod grid;
pub mod list;
pub mod look;
pub mod pen;
pub mod popup;
pub mod prompt;
pub mod table;
pub mod text;
pub mod toast;
