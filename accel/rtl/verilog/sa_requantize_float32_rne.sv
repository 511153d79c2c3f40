// One lane of the requantizer `float32_rne`, behind sa_total: a total becomes an output integer,
//
//     value = clamp(rne(float32(total) * multiplier) + zero_point, low, high)
//
// where float32(...) and the product are IEEE 754 single precision, each rounded half to even on its own, and rne(...)
// rounds half to even to an integer. Stages 2 to 4, one operation of the formula each; a total may enter every clock.
//
// zero_point, low and high are values of the output type, low <= high; a bit more than a value's and a sign let them be
// signed or not. No stage knows subnormals or infinities. A total other than 0 is at least 1, so that a normal
// multiplier makes a normal product; a subnormal one, read as if it were normal, makes one below 2^-62, which rounds to
// 0. A product from 2^VALUE_BITS on is beyond both bounds, and an infinite multiplier, read as 2^128, brings every
// total but 0 there. Zero times infinity and a multiplier that is not a number have no integer to round to: the
// value is then any within the bounds.
module sa_requantize_float32_rne #(
    parameter int TOTAL_BITS = 32,  // 8 to 64
    parameter int VALUE_BITS = 8  // 1 to 16
) (
    input  wire                         clk,
    // Into stage 2.
    input  wire signed [TOTAL_BITS-1:0] total,
    input  wire        [          31:0] multiplier,
    // Into stage 4, two clocks later: one delay line serves all lanes.
    input  wire signed [  VALUE_BITS:0] zero_point,
    input  wire signed [  VALUE_BITS:0] low,
    input  wire signed [  VALUE_BITS:0] high,
    // Out of stage 4.
    output logic       [VALUE_BITS-1:0] value
);
    // ------------------------------------------------------------------------------------ 2. total_float32 = total

    localparam int ONE = 127;  // the exponent of 1.0

    // The magnitude is shifted up until its leading one is on top: 24 bits of significand, and at least two below them
    // to round by.
    localparam int NORMAL_BITS = TOTAL_BITS > 26 ? TOTAL_BITS : 26;
    localparam int SHIFT_BITS = $clog2(NORMAL_BITS);

    wire [TOTAL_BITS-1:0] magnitude = total < 0 ? -total : total;
    logic [NORMAL_BITS-1:0] normal;
    logic [SHIFT_BITS-1:0] shift;

    always_comb begin
        normal = NORMAL_BITS'(magnitude) << (NORMAL_BITS - TOTAL_BITS);
        shift = '0;
        for (int place = SHIFT_BITS - 1; place >= 0; place--) begin
            if (normal >> (NORMAL_BITS - (1 << place)) == 0) begin
                normal = normal << (1 << place);
                shift[place] = 1'b1;
            end
        end
    end

    wire [7:0] total_exponent = 8'(ONE + TOTAL_BITS - 1) - 8'(shift);
    wire [22:0] total_fraction = normal[NORMAL_BITS-2-:23];
    wire total_up = normal[NORMAL_BITS-25] && (total_fraction[0] || normal[NORMAL_BITS-26:0] != 0);

    logic [31:0] total_float32;
    logic [31:0] multiplier_2;

    // Exponent and fraction are rounded up as one number: a fraction of ones carries into the exponent, as it should.
    always_ff @(posedge clk) begin
        total_float32[31] <= total < 0;
        total_float32[30:0] <= magnitude == 0 ? '0 : {total_exponent, total_fraction} + 31'(total_up);
        multiplier_2 <= multiplier;
    end

    // --------------------------------------------------------------------- 3. product = total_float32 * multiplier

    wire [7:0] exponent_a = total_float32[30:23];
    wire [7:0] exponent_b = multiplier_2[30:23];

    // Two significands in [1, 2) make one in [1, 4); from 2 on it is a place too high.
    wire [47:0] significand = {1'b1, total_float32[22:0]} * {1'b1, multiplier_2[22:0]};
    wire carry = significand[47];
    wire [46:0] below_leading_one = carry ? significand[46:0] : {significand[45:0], 1'b0};

    // A ninth bit of exponent, so that no product is too large.
    wire [8:0] product_exponent = 9'(exponent_a) + 9'(exponent_b) - 9'(ONE) + 9'(carry);
    wire [22:0] product_fraction = below_leading_one[46:24];
    wire product_up = below_leading_one[23] && (product_fraction[0] || below_leading_one[22:0] != 0);

    logic product_sign;
    logic [31:0] product;

    always_ff @(posedge clk) begin
        product_sign <= total_float32[31] ^ multiplier_2[31];
        product <= exponent_a == 0 ? '0 : {product_exponent, product_fraction} + 32'(product_up);
    end

    // ------------------------------------------------------ 4. value = clamp(rne(product) + zero_point, low, high)

    // Fixed point: VALUE_BITS bits before the point and 24 behind it. The significand of a product in [0.5, 1) lies just
    // behind the point, and every power of two above moves it up a place. Below 0.5 a product is as good as 0, and
    // from 2^VALUE_BITS on as good as that.
    localparam int FIXED_BITS = VALUE_BITS + 24;
    localparam int SUM_BITS = VALUE_BITS + 2;

    wire [8:0] exponent = product[31:23];
    wire below_half = exponent < 9'(ONE - 1);
    wire beyond_bounds = exponent >= 9'(ONE + VALUE_BITS);
    wire [4:0] places = 5'(exponent - 9'(ONE - 1));
    wire [FIXED_BITS-1:0] fixed = below_half ? '0 : FIXED_BITS'({1'b1, product[22:0]}) << places;
    wire fixed_up = fixed[23] && (fixed[24] || fixed[22:0] != 0);

    wire signed [SUM_BITS-1:0] nearest = SUM_BITS'(fixed[FIXED_BITS-1:24]) + SUM_BITS'(fixed_up);
    wire signed [SUM_BITS-1:0] distance = beyond_bounds ? SUM_BITS'(1) << VALUE_BITS : nearest;
    wire signed [SUM_BITS-1:0] rounded = product_sign ? -distance : distance;
    wire signed [SUM_BITS-1:0] shifted = rounded + SUM_BITS'(zero_point);
    wire signed [SUM_BITS-1:0] raised = shifted < SUM_BITS'(low) ? SUM_BITS'(low) : shifted;

    always_ff @(posedge clk) value <= raised > SUM_BITS'(high) ? high[VALUE_BITS-1:0] : raised[VALUE_BITS-1:0];
endmodule
