//! Pixels as a PNG file.

type Encoded = Result<Vec<u8>, Box<dyn std::error::Error>>;

/// Squares of `by` times `by` pixels (RGB, in rows) become one each, their mean.
pub(super) fn smoothed(pixels: &[u8], size: (u32, u32), by: u32) -> (Vec<u8>, (u32, u32)) {
    let (width, by) = (size.0 as usize, by as usize);
    let small = (width / by, size.1 as usize / by);
    let mut out = Vec::with_capacity(small.0 * small.1 * 3);
    let of_one = (by * by) as u32;
    for y in 0..small.1 {
        for x in 0..small.0 {
            for channel in 0..3 {
                let mut sum = 0_u32;
                for row in 0..by {
                    let first = ((y * by + row) * width + x * by) * 3 + channel;
                    sum += (0..by)
                        .map(|at| u32::from(pixels[first + at * 3]))
                        .sum::<u32>();
                }
                // A mean of bytes is a byte.
                out.push((sum / of_one) as u8);
            }
        }
    }
    (out, (size.0 / by as u32, size.1 / by as u32))
}

/// Pixels (RGB, in rows) as a PNG file.
pub(super) fn encoded(pixels: &[u8], size: (u32, u32)) -> Encoded {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn four_pixels_become_their_mean() {
        let pixels = [0, 0, 0, 100, 0, 0, 0, 8, 0, 100, 0, 4];
        let (out, size) = super::smoothed(&pixels, (2, 2), 2);
        assert_eq!((out, size), (vec![50, 2, 1], (1, 1)));
    }
}
