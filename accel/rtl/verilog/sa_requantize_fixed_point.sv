// One lane of a requantizer in integers, behind sa_total: a total becomes an output integer,
//
//     value = clamp(round(total * factor / 2^shift) + zero_point, low, high)
//
// whatever the shift and however large the product. A scale is {shift, factor}: 6 bits of shift, the rest an unsigned
// factor; a scale of 6 bits has no factor, and the lane no multiplier. Stages 2 to 4, as those of the other lanes; a
// total may enter every clock.
//
// TWICE: the first 31 places (or all, if there are fewer) are shifted out rounding half up, the others as ROUNDING
// says.
//
// zero_point, low and high are values of the output type, low <= high; a bit more than a value's and a sign let them be
// signed or not. An integer that VALUE_BITS bits and a sign do not hold is beyond both bounds, whatever the zero point.
module sa_requantize_fixed_point #(
    parameter int TOTAL_BITS = 32,  // 8 to 64
    parameter int SCALE_BITS = 37,  // 6 to 37
    parameter int VALUE_BITS = 8,  // 1 to 16
    parameter int ROUNDING = 1,  // 0 down, 1 half up, 2 half away from zero, 3 half to even
    parameter bit TWICE = 1'b0
) (
    input  wire                         clk,
    // Into stage 2.
    input  wire signed [TOTAL_BITS-1:0] total,
    input  wire        [SCALE_BITS-1:0] scale,
    // Into stage 4, two clocks later: one delay line serves all lanes.
    input  wire signed [  VALUE_BITS:0] zero_point,
    input  wire signed [  VALUE_BITS:0] low,
    input  wire signed [  VALUE_BITS:0] high,
    // Out of stage 4.
    output logic       [VALUE_BITS-1:0] value
);
    localparam int SHIFT_BITS = 6;
    localparam int FACTOR_BITS = SCALE_BITS - SHIFT_BITS;
    localparam int FIRST_SHIFT = 31;

    // ----------------------------------------------------------------------------------- 2. product = total * factor

    localparam int PRODUCT_BITS = TOTAL_BITS + FACTOR_BITS;

    logic signed [PRODUCT_BITS-1:0] product;
    logic [SHIFT_BITS-1:0] shift;

    generate
        if (FACTOR_BITS == 0) begin : g_no_factor
            always_ff @(posedge clk) product <= total;
        end else begin : g_factor
            // The sign counts -2^(TOTAL_BITS-1); what is below it is multiplied without signs. The mapper of yosys takes
            // minutes over a wide product of signed operands, and seconds over this one.
            localparam int BELOW_SIGN = TOTAL_BITS - 1;
            wire [FACTOR_BITS-1:0] factor = scale[FACTOR_BITS-1:0];
            wire [PRODUCT_BITS-2:0] unsigned_product = (PRODUCT_BITS - 1)'(total[BELOW_SIGN-1:0])
                * (PRODUCT_BITS - 1)'(factor);
            wire [FACTOR_BITS-1:0] excess = total[BELOW_SIGN] ? factor : '0;
            always_ff @(posedge clk) product <= {1'b0, unsigned_product} - {1'b0, excess, {BELOW_SIGN{1'b0}}};
        end
    endgenerate

    always_ff @(posedge clk) shift <= scale[SCALE_BITS-1-:SHIFT_BITS];

    // ------------------------------------------------------------------------- 3. steps = round(product / 2^shift)

    // Room for all that the clamps tell apart. What is shifted has room for what its rounding adds.
    localparam int LEAST_BITS = VALUE_BITS + 2;
    localparam int WIDE_BITS = PRODUCT_BITS > LEAST_BITS ? PRODUCT_BITS : LEAST_BITS;

    wire signed [WIDE_BITS-1:0] dividend;
    wire [SHIFT_BITS-1:0] places;

    generate
        if (TWICE) begin : g_twice
            wire [SHIFT_BITS-1:0] first = shift < SHIFT_BITS'(FIRST_SHIFT) ? shift : SHIFT_BITS'(FIRST_SHIFT);
            // The lowest bit is the highest that is shifted out.
            wire signed [WIDE_BITS:0] with_half = $signed({WIDE_BITS'(product), 1'b0}) >>> first;
            assign dividend = $signed(with_half[WIDE_BITS:1]) + $signed(WIDE_BITS'(with_half[0]));
            assign places = shift - first;
        end else begin : g_once
            assign dividend = WIDE_BITS'(product);
            assign places = shift;
        end
    endgenerate

    wire signed [WIDE_BITS:0] with_guard = $signed({dividend, 1'b0}) >>> places;
    wire signed [WIDE_BITS-1:0] floor = with_guard[WIDE_BITS:1];
    wire guard = with_guard[0];
    wire [WIDE_BITS:0] below_guard = {dividend, 1'b0} & ~({(WIDE_BITS + 1) {1'b1}} << places);
    wire sticky = below_guard != 0;

    logic up;
    generate
        if (ROUNDING == 0) begin : g_down
            wire unused_remainder = guard | sticky;
            assign up = 1'b0;
        end else if (ROUNDING == 1) begin : g_half_up
            wire unused_sticky = sticky;
            assign up = guard;
        end else if (ROUNDING == 2) begin : g_half_away
            assign up = guard && (sticky || !dividend[WIDE_BITS-1]);
        end else begin : g_half_even
            assign up = guard && (sticky || floor[0]);
        end
    endgenerate

    wire signed [VALUE_BITS:0] narrow = floor[VALUE_BITS:0];
    wire below_zero = floor[WIDE_BITS-1];
    wire beyond_bounds = floor != WIDE_BITS'(narrow);
    wire signed [VALUE_BITS:0] nearest = beyond_bounds ? {below_zero, {VALUE_BITS{!below_zero}}} : narrow;

    localparam int STEP_BITS = VALUE_BITS + 2;
    logic signed [STEP_BITS-1:0] steps;

    always_ff @(posedge clk) steps <= STEP_BITS'(nearest) + $signed(STEP_BITS'(up));

    // --------------------------------------------------------------- 4. value = clamp(steps + zero_point, low, high)

    wire signed [STEP_BITS-1:0] shifted = steps + STEP_BITS'(zero_point);
    wire signed [STEP_BITS-1:0] raised = shifted < STEP_BITS'(low) ? STEP_BITS'(low) : shifted;

    always_ff @(posedge clk) value <= raised > STEP_BITS'(high) ? high[VALUE_BITS-1:0] : raised[VALUE_BITS-1:0];
endmodule
