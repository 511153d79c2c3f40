// A finished sum of the array and its bias: the total that a requantizer takes, a clock later. The bias is added as the
// accumulators add, ACCUMULATOR_BITS wide; the result, narrowed once, saturates to TOTAL_BITS.
module sa_total #(
    parameter int ACCUMULATOR_BITS = 32,  // 8 to 64
    parameter int BIAS_BITS = 32,
    parameter int TOTAL_BITS = 32,  // at most ACCUMULATOR_BITS
    parameter bit SATURATE = 1'b0
) (
    input  wire                               clk,
    input  wire signed [ACCUMULATOR_BITS-1:0] sum,
    input  wire signed [       BIAS_BITS-1:0] bias,
    output logic signed [     TOTAL_BITS-1:0] total,
    output logic                        [1:0] overflows  // of the two widths, how many were exceeded
);
    localparam int EXACT_BITS = (ACCUMULATOR_BITS > BIAS_BITS ? ACCUMULATOR_BITS : BIAS_BITS) + 1;

    wire signed [EXACT_BITS-1:0] exact = EXACT_BITS'(sum) + EXACT_BITS'(bias);
    wire signed [ACCUMULATOR_BITS-1:0] wrapped = exact[ACCUMULATOR_BITS-1:0];
    wire negative = exact[EXACT_BITS-1];
    wire fits = exact == EXACT_BITS'(wrapped);
    wire signed [ACCUMULATOR_BITS-1:0] narrow = SATURATE && !fits ? {negative, {(ACCUMULATOR_BITS - 1) {!negative}}}
        : wrapped;

    generate
        if (TOTAL_BITS == ACCUMULATOR_BITS) begin : g_whole
            always_ff @(posedge clk) begin
                total <= narrow;
                overflows <= 2'(!fits);
            end
        end else begin : g_narrower
            wire signed [TOTAL_BITS-1:0] low_bits = narrow[TOTAL_BITS-1:0];
            wire below_zero = narrow[ACCUMULATOR_BITS-1];
            wire fits_total = narrow == ACCUMULATOR_BITS'(low_bits);
            always_ff @(posedge clk) begin
                total <= fits_total ? low_bits : {below_zero, {(TOTAL_BITS - 1) {!below_zero}}};
                overflows <= 2'(!fits) + 2'(!fits_total);
            end
        end
    endgenerate
endmodule
