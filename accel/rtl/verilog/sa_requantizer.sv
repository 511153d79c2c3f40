// The requantizer of the vector unit: LANES sums become LANES output integers, four clocks later; a new set of them
// may enter every clock, settings and all. Lane i has the i-th field of every flat port.
//
// A bias joins its sum as wide as the accumulators; the total saturates to TOTAL_BITS. A scale is a float32 number, or
// a shift and a factor; ROUNDING and TWICE are those of sa_requantize_fixed_point.
//
// With THRESHOLDS, a set may say that its sums are compared instead (by_thresholds): sa_requantize_thresholds says how.
// `low` is what no threshold makes then. Its thresholds come a clock behind the sums, when a table of the channels that
// is read beside them has the words.
//
// Where a set is not full, the sums and biases of the lanes left over are 0, so that they do not overflow.
module sa_requantizer #(
    parameter int LANES = 4,
    parameter int ACCUMULATOR_BITS = 32,
    parameter int BIAS_BITS = 32,
    parameter int TOTAL_BITS = ACCUMULATOR_BITS,
    parameter int SCALE_BITS = 32,
    parameter int VALUE_BITS = 8,
    parameter bit SATURATE = 1'b0,
    parameter bit FLOAT32 = 1'b1,  // SCALE_BITS are 32
    parameter int ROUNDING = 3,
    parameter bit TWICE = 1'b0,
    parameter int THRESHOLDS = 0,  // that a lane compares with in a clock
    localparam int COMPARED = THRESHOLDS > 0 ? THRESHOLDS : 1
) (
    input  wire                                        clk,
    input  wire                                        reset,
    input  wire                                        valid_in,
    input  wire        [   LANES*ACCUMULATOR_BITS-1:0] sums,
    input  wire        [          LANES*BIAS_BITS-1:0] biases,
    input  wire        [         LANES*SCALE_BITS-1:0] scales,
    input  wire signed [                 VALUE_BITS:0] zero_point,
    input  wire signed [                 VALUE_BITS:0] low,
    input  wire signed [                 VALUE_BITS:0] high,
    input  wire                                        by_thresholds,
    // A clock behind the sums.
    input  wire        [LANES*COMPARED*TOTAL_BITS-1:0] thresholds,
    input  wire        [           LANES*COMPARED-1:0] beyond,
    input  wire        [                    LANES-1:0] falling,
    output wire                                        valid_out,
    output wire        [         LANES*VALUE_BITS-1:0] values,
    // Sums that did not fit with their bias, and totals that did not fit TOTAL_BITS.
    output wire        [        $clog2(2*LANES+1)-1:0] overflows
);
    localparam int STAGES = 4;
    localparam int SETTING_BITS = VALUE_BITS + 1;
    localparam int COUNT_BITS = $clog2(2 * LANES + 1);

    logic [STAGES-1:0] valid;
    always_ff @(posedge clk) begin
        if (reset) valid <= '0;
        else valid <= {valid[STAGES-2:0], valid_in};
    end
    assign valid_out = valid[STAGES-1];

    wire signed [VALUE_BITS:0] zero_point_3, low_3, high_3;
    sa_delay #(
        .BITS  (3 * SETTING_BITS),
        .CYCLES(STAGES - 1)
    ) settings (
        .clk(clk),
        .in ({zero_point, low, high}),
        .out({zero_point_3, low_3, high_3})
    );

    wire by_thresholds_4;
    sa_delay #(
        .BITS  (1),
        .CYCLES(STAGES)
    ) choice (
        .clk(clk),
        .in (by_thresholds),
        .out(by_thresholds_4)
    );

    wire [2*LANES-1:0] lost;
    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            sa_requantizer_lane #(
                .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
                .BIAS_BITS       (BIAS_BITS),
                .TOTAL_BITS      (TOTAL_BITS),
                .SCALE_BITS      (SCALE_BITS),
                .VALUE_BITS      (VALUE_BITS),
                .SATURATE        (SATURATE),
                .FLOAT32         (FLOAT32),
                .ROUNDING        (ROUNDING),
                .TWICE           (TWICE),
                .THRESHOLDS      (THRESHOLDS)
            ) lane (
                .clk          (clk),
                .sum          (sums[i*ACCUMULATOR_BITS+:ACCUMULATOR_BITS]),
                .bias         (biases[i*BIAS_BITS+:BIAS_BITS]),
                .scale        (scales[i*SCALE_BITS+:SCALE_BITS]),
                .thresholds   (thresholds[i*COMPARED*TOTAL_BITS+:COMPARED*TOTAL_BITS]),
                .beyond       (beyond[i*COMPARED+:COMPARED]),
                .falling      (falling[i]),
                .zero_point   (zero_point_3),
                .low          (low_3),
                .high         (high_3),
                .by_thresholds(by_thresholds_4),
                .value        (values[i*VALUE_BITS+:VALUE_BITS]),
                .overflows    (lost[2*i+:2])
            );
        end
    endgenerate

    logic [COUNT_BITS-1:0] all_lost;
    always_comb begin
        all_lost = '0;
        for (int j = 0; j < LANES; j++) all_lost = all_lost + COUNT_BITS'(lost[2*j+:2]);
    end
    sa_delay #(
        .BITS  (COUNT_BITS),
        .CYCLES(STAGES - 1)
    ) lost_until_out (
        .clk(clk),
        .in (all_lost),
        .out(overflows)
    );
endmodule
