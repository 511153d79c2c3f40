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
    int64_t sum_bits, scale_bits, value_bits;
    int64_t zero_point, low, high;
};
constexpr int64_t MAGIC = 0x324c51455241;  // "AREQL2"

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

    Lanes sum_lanes(head.lanes, head.sum_bits), bias_lanes(head.lanes, 32), scale_lanes(head.lanes, head.scale_bits);
    int64_t entered = 0;
    for (int64_t idle = 0; static_cast<int64_t>(values.size()) < head.elements; ++idle) {
        if (idle > head.elements / head.lanes + 100) {
            std::fprintf(stderr, "stuck after %zu of %lld integers\n", values.size(),
                         static_cast<long long>(head.elements));
            return 3;
        }
        dut->valid_in = entered < head.elements;
        sum_lanes.clear();
        bias_lanes.clear();
        scale_lanes.clear();
        for (int64_t lane = 0; lane < head.lanes && entered < head.elements; ++lane, ++entered) {
            sum_lanes.put(lane, sums[entered]);
            bias_lanes.put(lane, biases[entered]);
            scale_lanes.put(lane, scales[entered]);
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
