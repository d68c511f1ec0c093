//! Random numbers and number types, the same bits on the device (`kernels/pointwise.cu`) and here,
//! so that any value of a buffer that the device filled can be had without copying it.

use super::operation::NumberType;

/// bf16 of a number, rounded to nearest even.
#[must_use]
pub fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return 0x7fff;
    }
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    (rounded >> 16) as u16
}

/// The number that bf16 bits stand for.
#[must_use]
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// e4m3 bits (3 bits of mantissa, bias 7) of a number within 1 of zero, rounded towards zero.
#[must_use]
pub fn to_e4m3(value: f32) -> u8 {
    let bits = value.to_bits();
    let sign = ((bits >> 24) & 0x80) as u8;
    let exponent = ((bits >> 23) & 0xff).cast_signed() - 127;
    if exponent < -6 {
        return sign | (value.abs() * 512.0) as u8;
    }
    sign | ((((exponent + 7) << 3) as u8) & 0x78) | ((bits >> 20) & 7) as u8
}

/// The number that e4m3 bits stand for.
#[must_use]
pub fn from_e4m3(bits: u8) -> f32 {
    let exponent = i32::from((bits >> 3) & 0xf);
    let mantissa = f32::from(bits & 7);
    let size = match (exponent, bits & 7) {
        (0xf, 7) => f32::NAN,
        (0, _) => mantissa * 2_f32.powi(-9),
        _ => (1.0 + mantissa / 8.0) * 2_f32.powi(exponent - 7),
    };
    if bits & 0x80 == 0 { size } else { -size }
}

/// A hash of an index and a seed, 32 bits.
fn mix(index: u64, seed: u32) -> u32 {
    let step = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(seed) + 1);
    let x = index.wrapping_add(step).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x >> 32) as u32
}

/// A number of 23 bits in [-1, 1).
fn uniform(index: u64, seed: u32) -> f32 {
    let whole = (mix(index, seed) >> 8).cast_signed() - (1 << 23);
    whole as f32 * 2_f32.powi(-23)
}

/// The value at an index of a buffer that was filled with a seed.
#[must_use]
pub fn filled(dtype: NumberType, index: u64, seed: u32) -> f64 {
    let value = uniform(index, seed);
    f64::from(match dtype {
        NumberType::Bf16 => from_bf16(to_bf16(value)),
        NumberType::Fp8E4m3 | NumberType::Fp8Block => from_e4m3(to_e4m3(value)),
        // Never measured here, so never filled.
        NumberType::Nvfp4 | NumberType::Mxfp4 | NumberType::Int8 => value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_even() {
        assert_eq!(to_bf16(1.0), 0x3f80);
        // Half way between 1 and the next: to the even one; and between the next and its next.
        assert_eq!(to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(to_bf16(f32::from_bits(0x3f80_8001)), 0x3f81);
        assert!(from_bf16(to_bf16(f32::NAN)).is_nan());
    }

    #[test]
    fn e4m3_holds_what_it_says() {
        for bits in 0..=255_u8 {
            let value = from_e4m3(bits);
            if value.abs() < 1.0 {
                assert_eq!(to_e4m3(value), bits, "{value}");
            }
        }
        assert_eq!(from_e4m3(0x7e), 448.0);
        assert!(from_e4m3(0x7f).is_nan());
        assert_eq!(from_e4m3(1), 2_f32.powi(-9));
    }

    #[test]
    fn filled_values_are_random_and_never_all_zero() {
        for dtype in [NumberType::Bf16, NumberType::Fp8E4m3] {
            let values: Vec<f64> = (0..20_000).map(|i| filled(dtype, i, 7)).collect();
            let mean = values.iter().sum::<f64>() / 20_000.0;
            let square = values.iter().map(|v| v * v).sum::<f64>() / 20_000.0;
            assert!(mean.abs() < 0.02, "{mean}");
            assert!((0.25..0.36).contains(&square), "{square}");
            let lagged: f64 = values.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / 20_000.0;
            assert!(lagged.abs() < 0.01, "{lagged}");
        }
    }
}
