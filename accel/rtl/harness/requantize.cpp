// Feeds sums through the requantizer's RTL, LANES at a time, and writes down the integers that it makes.
//
//     requantize STIMULUS RESPONSE
#include "Vdut.h"
#include "ports.h"
#include "verilated.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace {

struct Header {
    int64_t magic, elements, lanes;
    int64_t sum_bits, total_bits, scale_bits, value_bits, thresholds;
    int64_t zero_point, low, high;
    int64_t channels;  // whose thresholds there are; 0: sums are scaled
};
constexpr int64_t MAGIC = 0x334c51455241;  // "AREQL3"

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s STIMULUS RESPONSE\n", argv[0]);
        return 2;
    }
    FILE* stimulus = open_or_die(argv[1], "rb");
    FILE* response = open_or_die(argv[2], "wb");
    Header head;
    read_exactly(&head, sizeof head, 1, stimulus);
    if (head.magic != MAGIC) {
        std::fprintf(stderr, "not a stimulus file\n");
        return 4;
    }
    const auto sums = read_many<int64_t>(stimulus, head.elements);
    const auto biases = read_many<int32_t>(stimulus, head.elements);
    const auto scales = read_many<int64_t>(stimulus, head.elements);
    const bool compares = head.channels > 0;
    const auto channel_of = read_many<int32_t>(stimulus, compares ? head.elements : 0);
    const auto thresholds = read_many<int64_t>(stimulus, head.channels * head.thresholds);
    const auto beyond = read_many<int32_t>(stimulus, head.channels * head.thresholds);
    const auto falling = read_many<int32_t>(stimulus, head.channels);
    std::vector<int32_t> values;
    values.reserve(head.elements + head.lanes);
    int64_t overflows = 0;

    VerilatedContext context;
    auto dut = std::make_unique<Vdut>(&context);
    const auto clock = [&] {
        dut->clk = 0;
        dut->eval();
        dut->clk = 1;
        dut->eval();
    };
    dut->reset = 1;
    dut->valid_in = 0;
    for (int i = 0; i < 8; ++i) clock();
    dut->reset = 0;
    dut->zero_point = head.zero_point & ((int64_t(2) << head.value_bits) - 1);
    dut->low = head.low & ((int64_t(2) << head.value_bits) - 1);
    dut->high = head.high & ((int64_t(2) << head.value_bits) - 1);
    dut->by_thresholds = compares;

    Lanes sum_lanes(head.lanes, head.sum_bits), bias_lanes(head.lanes, 32), scale_lanes(head.lanes, head.scale_bits);
    const int compared = std::max<int64_t>(1, head.lanes * head.thresholds);
    Lanes threshold_lanes(compared, head.total_bits), beyond_lanes(compared, 1), falling_lanes(head.lanes, 1);
    int64_t entered = 0;
    for (int64_t idle = 0; static_cast<int64_t>(values.size()) < head.elements; ++idle) {
        if (idle > head.elements / head.lanes + 100) {
            std::fprintf(stderr, "stuck after %zu of %lld integers\n", values.size(),
                         static_cast<long long>(head.elements));
            return 3;
        }
        // Thresholds are a clock behind their sums: here come those of the set before.
        if (compares) {
            store_words(dut->thresholds, threshold_lanes.words());
            store_words(dut->beyond, beyond_lanes.words());
            store_words(dut->falling, falling_lanes.words());
            threshold_lanes.clear();
            beyond_lanes.clear();
            falling_lanes.clear();
        }
        dut->valid_in = entered < head.elements;
        sum_lanes.clear();
        bias_lanes.clear();
        scale_lanes.clear();
        for (int64_t lane = 0; lane < head.lanes && entered < head.elements; ++lane, ++entered) {
            sum_lanes.put(lane, sums[entered]);
            bias_lanes.put(lane, biases[entered]);
            scale_lanes.put(lane, scales[entered]);
            if (!compares) continue;
            const int64_t channel = channel_of[entered];
            falling_lanes.put(lane, falling[channel]);
            for (int64_t step = 0; step < head.thresholds; ++step) {
                threshold_lanes.put(lane * head.thresholds + step, thresholds[channel * head.thresholds + step]);
                beyond_lanes.put(lane * head.thresholds + step, beyond[channel * head.thresholds + step]);
            }
        }
        store_words(dut->sums, sum_lanes.words());
        store_words(dut->biases, bias_lanes.words());
        store_words(dut->scales, scale_lanes.words());
        clock();
        if (!dut->valid_out) continue;
        overflows += dut->overflows;
        for (int lane = 0; lane < head.lanes && static_cast<int64_t>(values.size()) < head.elements; ++lane)
            values.push_back(signed_lane(dut->values, lane, head.value_bits));
    }
    write_exactly(values.data(), sizeof(int32_t), values.size(), response);
    write_exactly(&overflows, sizeof overflows, 1, response);
    dut->final();
    if (std::fclose(response) != 0) {
        std::perror("response");
        return 5;
    }
    return 0;
}
