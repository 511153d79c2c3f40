// Replays folds on the array's RTL: operands from a stimulus file, results and cycle stamps into a response file.
//
// This is the memory around the array and nothing else: it answers requests for operands, holds them back until the
// clock in which the simulated machine has them, and writes down what leaves. It does no arithmetic on operands or
// sums and knows no law of the array. Both files are in host byte order; accel/rtl/stimulus.py and replay.py are the
// other side.
//
//     replay STIMULUS RESPONSE [TRACE FROM TO]
#include "Vdut.h"
#include "ports.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace {

struct Header {
    int64_t magic, folds, tiles, operands;
    int64_t rows, columns, lanes;
    int64_t moving_bits, other_bits, accumulator_bits;
    int64_t reset_cycles, cycle_limit;
};
constexpr int64_t MAGIC = 0x314c50455241;  // "AREPL1"

struct Fold {
    int64_t length, address, accumulate;
    int64_t load_ready, stream_ready;  // cycles in which its operands are in their buffers
    int64_t hold, hold_at;             // bubbles, and in front of which operand: the buffer's port is too narrow
    int64_t moving, moving_rows, moving_row_stride, moving_step_stride;
    int64_t other, other_rows, other_columns, other_row_stride, other_column_stride;
};

struct Tile {
    int64_t end;             // one past its last fold
    int64_t address, count;  // its accumulators
};

struct FoldStamps {
    int64_t begin = -1, first_result = -1, last_result = -1;
};

class Replay {
  public:
    Replay(FILE* stimulus, FILE* response, const char* trace, int64_t from, int64_t to)
        : response_(response), trace_from_(from), trace_to_(to) {
        read_exactly(&head_, sizeof head_, 1, stimulus);
        if (head_.magic != MAGIC) {
            std::fprintf(stderr, "not a stimulus file\n");
            std::exit(4);
        }
        folds_ = read_many<Fold>(stimulus, head_.folds);
        tiles_ = read_many<Tile>(stimulus, head_.tiles);
        operands_ = read_many<int32_t>(stimulus, head_.operands);
        stamps_.resize(folds_.size());
        hold_left_.reserve(folds_.size());
        for (const Fold& fold : folds_) hold_left_.push_back(fold.hold);
#if VM_TRACE
        if (trace) {
            context_.traceEverOn(true);
            dump_ = std::make_unique<VerilatedVcdC>();
            dut_->trace(dump_.get(), 99);
            dump_->open(trace);
        }
#else
        (void)trace;
#endif
    }

    void run() {
        reset();
        Lanes moving(head_.rows, head_.moving_bits), other(head_.columns, head_.other_bits);
        size_t loaded = 0, streaming = 0, leaving = 0, tile = 0;
        int64_t position = 0;     // of the operand that enters next
        bool tile_is_out = false; // its last sums arrive at the end of this clock
        int drain = 4;            // counts of overflows are registered
        while (leaving < folds_.size() || drain-- > 0) {
            if (cycle_ > head_.cycle_limit) {
                std::fprintf(stderr, "stuck in fold %zu of %zu: no result by cycle %lld\n", leaving, folds_.size(),
                             static_cast<long long>(cycle_));
                std::exit(3);
            }
            dut_->clk = 0;
            dut_->fold_valid = loaded < folds_.size() && cycle_ >= folds_[loaded].load_ready;
            if (loaded < folds_.size()) {
                dut_->fold_length = folds_[loaded].length;
                dut_->fold_address = folds_[loaded].address;
                dut_->fold_accumulate = folds_[loaded].accumulate;
            }
            const bool has_stream = streaming < folds_.size();
            const bool last = has_stream && position == folds_[streaming].length - 1;
            const bool held = has_stream && position == folds_[streaming].hold_at && hold_left_[streaming] > 0;
            dut_->stream_valid = has_stream && !held && cycle_ >= folds_[streaming].stream_ready;
            dut_->eval();

            const bool takes = dut_->fold_valid && dut_->fold_ready;
            if (takes) ++loaded;
#if !OUTPUT_STATIONARY
            if (dut_->load_enable) {
                fill_load(other, folds_[loaded - 1], dut_->load_row);
                store_words(dut_->load_data, other.words());
            }
#endif
            const bool requested = has_stream && dut_->stream_request;
            const bool enters = requested && dut_->stream_valid;
            if (requested && held && cycle_ >= folds_[streaming].stream_ready) --hold_left_[streaming];
            if (enters) {
                const Fold& fold = folds_[streaming];
                if (static_cast<int64_t>(dut_->stream_index) != position) fail("another operand is asked for");
                if (dut_->enter_first) stamps_[streaming].begin = cycle_;
                moving.clear();
                const int32_t* from = &operands_[fold.moving + position * fold.moving_step_stride];
                for (int r = 0; r < fold.moving_rows; ++r) moving.put(r, from[r * fold.moving_row_stride]);
                store_words(dut_->stream_data, moving.words());
#if OUTPUT_STATIONARY
                fill_load(other, fold, position);
                store_words(dut_->other_data, other.words());
#endif
                ++position;
                if (last) {
                    ++streaming;
                    position = 0;
                }
            }
            trace_low();
            dut_->clk = 1;
            dut_->eval();
            trace_high();
            overflows_ += dut_->overflows;
            if (tile_is_out) {
                read_tile(tiles_[tile++]);
                tile_is_out = false;
            }
            if (dut_->result_valid) {
                if (leaving == folds_.size()) fail("a result of no fold");
                FoldStamps& stamp = stamps_[leaving];
                if (stamp.first_result < 0) stamp.first_result = cycle_;
                if (dut_->result_last) {
                    stamp.last_result = cycle_;
                    ++leaving;
                    tile_is_out = static_cast<int64_t>(leaving) == tiles_[tile].end;
                }
            }
            ++cycle_;
        }
        write_exactly(stamps_.data(), sizeof(FoldStamps), stamps_.size(), response_);
        write_exactly(&overflows_, sizeof overflows_, 1, response_);
        write_exactly(&cycle_, sizeof cycle_, 1, response_);
        dut_->final();
#if VM_TRACE
        if (dump_) dump_->close();
#endif
    }

  private:
    [[noreturn]] void fail(const char* what) {
        std::fprintf(stderr, "%s in cycle %lld\n", what, static_cast<long long>(cycle_));
        std::exit(3);
    }

    void reset() {
        dut_->reset = 1;
        dut_->read_address = 0;
#if OUTPUT_STATIONARY
        // Initial sums are zeros: what a fold adds to is in the accumulator buffer.
        store_words(dut_->load_data, std::vector<uint32_t>(head_.columns * 2 + 2));
#endif
        for (int64_t i = 0; i < head_.reset_cycles; ++i) {
            dut_->clk = 0;
            dut_->eval();
            dut_->clk = 1;
            dut_->eval();
        }
        dut_->reset = 0;
    }

    // A row of the operand that is not the moving one: held row by row, or one row in each clock.
    void fill_load(Lanes& lanes, const Fold& fold, int64_t row) {
        lanes.clear();
        if (row >= fold.other_rows) return;
        const int32_t* from = &operands_[fold.other + row * fold.other_row_stride];
        for (int c = 0; c < fold.other_columns; ++c) lanes.put(c, from[c * fold.other_column_stride]);
    }

    void read_tile(const Tile& tile) {
        sums_.resize(tile.count * head_.lanes);
        int64_t* into = sums_.data();
        for (int64_t row = 0; row < tile.count; ++row) {
            dut_->read_address = tile.address + row;
            dut_->eval();
            for (int lane = 0; lane < head_.lanes; ++lane)
                *into++ = signed_lane(dut_->read_sums, lane, head_.accumulator_bits);
        }
        write_exactly(sums_.data(), sizeof(int64_t), sums_.size(), response_);
    }

    // A clock lasts two units of the trace: it rises at 2 * cycle, inputs are there at 2 * cycle + 1.
    void trace_low() {
#if VM_TRACE
        if (!dump_ || cycle_ < trace_from_ || cycle_ >= trace_to_) return;
        dut_->eval();
        dump_->dump(static_cast<uint64_t>(2 * cycle_ + 1));
#endif
    }
    void trace_high() {
#if VM_TRACE
        if (!dump_ || cycle_ + 1 < trace_from_ || cycle_ + 1 > trace_to_) return;
        dump_->dump(static_cast<uint64_t>(2 * cycle_ + 2));
#endif
    }

    Header head_;
    std::vector<Fold> folds_;
    std::vector<Tile> tiles_;
    std::vector<int32_t> operands_;
    std::vector<FoldStamps> stamps_;
    std::vector<int64_t> hold_left_;
    std::vector<int64_t> sums_;
    FILE* response_;
    int64_t cycle_ = 0, overflows_ = 0;
    int64_t trace_from_, trace_to_;
    VerilatedContext context_;
    std::unique_ptr<Vdut> dut_ = std::make_unique<Vdut>(&context_);
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> dump_;
#endif
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 6) {
        std::fprintf(stderr, "usage: %s STIMULUS RESPONSE [TRACE FROM TO]\n", argv[0]);
        return 2;
    }
    FILE* stimulus = open_or_die(argv[1], "rb");
    FILE* response = open_or_die(argv[2], "wb");
    const bool traces = argc == 6;
    auto replay = std::make_unique<Replay>(stimulus, response, traces ? argv[3] : nullptr,
                                           traces ? std::atoll(argv[4]) : 0, traces ? std::atoll(argv[5]) : 0);
    replay->run();
    if (std::fclose(response) != 0) {
        std::perror("response");
        return 5;
    }
    return 0;
}
