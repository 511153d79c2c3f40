// One lane of the requantizer: a sum of the array becomes an output integer, four clocks later. A scale is a float32
// number, or a shift and a factor; ROUNDING and TWICE are those of sa_requantize_fixed_point. With THRESHOLDS, the lane
// also compares, and either result can be taken.
module sa_requantizer_lane #(
    parameter int ACCUMULATOR_BITS = 32,
    parameter int BIAS_BITS = 32,
    parameter int TOTAL_BITS = 32,
    parameter int SCALE_BITS = 32,
    parameter int VALUE_BITS = 8,
    parameter bit SATURATE = 1'b0,
    parameter bit FLOAT32 = 1'b1,  // SCALE_BITS are 32
    parameter int ROUNDING = 3,
    parameter bit TWICE = 1'b0,
    parameter int THRESHOLDS = 0,
    localparam int COMPARED = THRESHOLDS > 0 ? THRESHOLDS : 1
) (
    input  wire                                  clk,
    // Into stage 1.
    input  wire signed [   ACCUMULATOR_BITS-1:0] sum,
    input  wire signed [          BIAS_BITS-1:0] bias,
    input  wire        [         SCALE_BITS-1:0] scale,
    // Into stage 2, a clock later.
    input  wire        [COMPARED*TOTAL_BITS-1:0] thresholds,
    input  wire        [           COMPARED-1:0] beyond,
    input  wire                                  falling,
    // Into stage 4, three clocks later: one delay line serves all lanes.
    input  wire signed [           VALUE_BITS:0] zero_point,
    input  wire signed [           VALUE_BITS:0] low,
    input  wire signed [           VALUE_BITS:0] high,
    // Behind stage 4.
    input  wire                                  by_thresholds,
    // Out of stage 4.
    output wire        [         VALUE_BITS-1:0] value,
    // Out of stage 1: of the bias's addition.
    output wire        [                    1:0] overflows
);
    wire signed [TOTAL_BITS-1:0] total;
    sa_total #(
        .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
        .BIAS_BITS       (BIAS_BITS),
        .TOTAL_BITS      (TOTAL_BITS),
        .SATURATE        (SATURATE)
    ) with_bias (
        .clk      (clk),
        .sum      (sum),
        .bias     (bias),
        .total    (total),
        .overflows(overflows)
    );
    logic [SCALE_BITS-1:0] scale_1;
    always_ff @(posedge clk) scale_1 <= scale;

    wire [VALUE_BITS-1:0] scaled;
    generate
        if (FLOAT32) begin : g_float32
            sa_requantize_float32_rne #(
                .TOTAL_BITS(TOTAL_BITS),
                .VALUE_BITS(VALUE_BITS)
            ) unit (
                .clk       (clk),
                .total     (total),
                .multiplier(scale_1),
                .zero_point(zero_point),
                .low       (low),
                .high      (high),
                .value     (scaled)
            );
        end else begin : g_fixed_point
            sa_requantize_fixed_point #(
                .TOTAL_BITS(TOTAL_BITS),
                .SCALE_BITS(SCALE_BITS),
                .VALUE_BITS(VALUE_BITS),
                .ROUNDING  (ROUNDING),
                .TWICE     (TWICE)
            ) unit (
                .clk       (clk),
                .total     (total),
                .scale     (scale_1),
                .zero_point(zero_point),
                .low       (low),
                .high      (high),
                .value     (scaled)
            );
        end
        if (THRESHOLDS > 0) begin : g_thresholds
            wire [VALUE_BITS-1:0] counted;
            sa_requantize_thresholds #(
                .TOTAL_BITS(TOTAL_BITS),
                .VALUE_BITS(VALUE_BITS),
                .THRESHOLDS(THRESHOLDS)
            ) comparators (
                .clk       (clk),
                .total     (total),
                .thresholds(thresholds),
                .beyond    (beyond),
                .falling   (falling),
                .lowest    (low),
                .value     (counted)
            );
            assign value = by_thresholds ? counted : scaled;
        end else begin : g_no_thresholds
            wire unused_thresholds = &{1'b0, thresholds, beyond, falling, by_thresholds};
            assign value = scaled;
        end
    endgenerate
endmodule
