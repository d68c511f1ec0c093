// Calls a kernel with the arrays of files: PROGRAM KERNEL FOLDER NUMBERS...
// Kernels are included before this file; D is set for those with a head width.

int main(int count, char **words) {
    std::string name = words[1], folder = std::string(words[2]) + "/";
    auto number = [&](int i) { return i + 3 < count ? atoi(words[i + 3]) : (fail("a number is missing"), 0); };
    auto values = [&](const char *file) { return read_file<u16>(folder + file); };
    auto aligned = [](std::vector<u16> &v) {
        // 16-byte addresses, as the device's allocator gives them.
        u16 *memory = (u16 *)aligned_alloc(256, (v.size() * 2 + 255) / 256 * 256);
        memcpy(memory, v.data(), v.size() * 2);
        return memory;
    };
#ifdef PREFILL
    if (name == "prefill") {
        int sequences = number(0), length = number(1), heads = number(2), kv_heads = number(3);
        float scale = (float)atof(words[7]);
        auto q = values("q"), k = values("k"), v = values("v");
        std::vector<u16> poison(q.size(), 0xffff);
        u16 *qa = aligned(q), *ka = aligned(k), *va = aligned(v), *out = aligned(poison);
        dim grid = {(unsigned)(heads * sequences), (unsigned)((length + QUERIES - 1) / QUERIES), 1};
        launch(grid, 128, [&] { prefill(qa, ka, va, out, length, heads, kv_heads, scale); });
        write_file(folder + "out", std::vector<u16>(out, out + q.size()));
        return 0;
    }
#endif
#ifdef DECODE
    if (name == "decode") {
        int sequences = number(0), context = number(1), heads = number(2), kv_heads = number(3);
        unsigned splits = number(4);
        int per_split = number(5);
        float scale = (float)atof(words[9]);
        auto q = values("q"), k = values("k"), v = values("v");
        auto table = read_file<int>(folder + "table");
        std::vector<u16> poison(q.size(), 0xffff);
        std::vector<float> partial((size_t)sequences * heads * splits * D, NAN), marks(partial.size() / D * 2, NAN);
        u16 *qa = aligned(q), *ka = aligned(k), *va = aligned(v), *out = aligned(poison);
        launch({splits, (unsigned)kv_heads, (unsigned)sequences}, 128, [&] {
            decode(qa, ka, va, table.data(), out, partial.data(), marks.data(), context, heads, kv_heads, per_split, scale);
        });
        if (splits > 1)
            launch({(unsigned)(sequences * heads), 1, 1}, D, [&] {
                decode_combine(partial.data(), marks.data(), out, splits, scale);
            });
        write_file(folder + "out", std::vector<u16>(out, out + q.size()));
        return 0;
    }
#endif
#ifdef POINTWISE
    if (name == "bytes") {
        auto from = values("from");
        u64 chunks = from.size() / 8;
        std::vector<u16> poison(from.size(), 0xffff);
        u16 *source = aligned(from), *copied = aligned(poison), *written = aligned(poison);
        std::vector<u32> marks(1024);
        launch({3, 1, 1}, 64, [&] { read_bytes((uint4 *)source, chunks, marks.data()); });
        launch({3, 1, 1}, 64, [&] { copy_bytes((uint4 *)source, chunks, (uint4 *)copied); });
        launch({3, 1, 1}, 64, [&] { write_bytes((uint4 *)written, chunks, number(0)); });
        write_file(folder + "marks", marks);
        write_file(folder + "copied", std::vector<u16>(copied, copied + from.size()));
        write_file(folder + "written", std::vector<u16>(written, written + from.size()));
        return 0;
    }
    std::vector<u16> x = name == "fill" ? std::vector<u16>() : values("x");
    u16 *xa = aligned(x);
    if (name == "fill") {
        u64 words_out = number(0);
        std::vector<u32> bf16(words_out), e4m3(words_out);
        launch({3, 1, 1}, 64, [&] { fill_bf16(bf16.data(), words_out, number(1), 1.0f); });
        launch({3, 1, 1}, 64, [&] { fill_e4m3(e4m3.data(), words_out, number(1), 1.0f); });
        write_file(folder + "bf16", bf16);
        write_file(folder + "e4m3", e4m3);
        return 0;
    }
    if (name == "rms_norm") {
        int rows = number(0), chunks = number(1), threads = number(2);
        auto residual = values("residual"), weight = values("weight");
        std::vector<u16> poison(x.size(), 0xffff);
        u16 *ra = aligned(residual), *wa = aligned(weight), *sum = aligned(poison), *out = aligned(poison);
        launch({(unsigned)rows, 1, 1}, threads, [&] {
            rms_norm((uint4 *)xa, (uint4 *)ra, (uint4 *)wa, (uint4 *)sum, (uint4 *)out, chunks);
        });
        write_file(folder + "sum", std::vector<u16>(sum, sum + x.size()));
        write_file(folder + "out", std::vector<u16>(out, out + x.size()));
        return 0;
    }
    if (name == "silu_mul") {
        int rows = number(0), chunks = number(1);
        std::vector<u16> poison(x.size() / 2, 0xffff);
        u16 *out = aligned(poison);
        launch({(unsigned)(chunks + 255) / 256, (unsigned)rows, 1}, 256, [&] { silu_mul((uint4 *)xa, (uint4 *)out, chunks); });
        write_file(folder + "out", std::vector<u16>(out, out + poison.size()));
        return 0;
    }
    if (name == "rotary") {
        int rows = number(0), heads = number(1), width = number(2);
        auto angles = read_file<float>(folder + "angles");
        std::vector<u16> poison(x.size(), 0xffff);
        u16 *out = aligned(poison);
        float *turns = (float *)aligned_alloc(256, (angles.size() * 4 + 255) / 256 * 256);
        memcpy(turns, angles.data(), angles.size() * 4);
        launch({(unsigned)(heads * width / 16 + 255) / 256, (unsigned)rows, 1}, 256, [&] {
            rotary((uint4 *)xa, (float4 *)turns, (uint4 *)out, heads, width);
        });
        write_file(folder + "out", std::vector<u16>(out, out + x.size()));
        return 0;
    }
#endif
    fail("no such kernel");
}
