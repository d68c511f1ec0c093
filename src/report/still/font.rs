//! The font of pictures: Roboto, of which the letters of Europe's languages are built in, so that
//! pictures are the same on every machine. Other scripts show in the page and in SVG, whose fonts are
//! the reader's own.

use std::sync::OnceLock;

use plotters::style::{FontStyle, register_font};

static REGULAR: &[u8] = include_bytes!("../vendor/roboto-regular.ttf");
static REGISTERED: OnceLock<bool> = OnceLock::new();

/// The font could not be read: a defect of this program.
#[derive(Debug, thiserror::Error)]
#[error("the built-in font cannot be read")]
pub struct FontError;

/// Gives the drawing library its font, under the name `sans-serif`; to be called before anything is
/// drawn.
///
/// # Errors
/// `FontError` when the built-in font is damaged.
pub fn register() -> Result<(), FontError> {
    let registered = REGISTERED.get_or_init(|| {
        let styles = [FontStyle::Normal, FontStyle::Bold];
        styles
            .into_iter()
            .all(|style| register_font("sans-serif", style, REGULAR).is_ok())
    });
    match registered {
        true => Ok(()),
        false => Err(FontError),
    }
}
